"""How good a model's cached runs are, beside the paper's and its peers', measured in one run."""
