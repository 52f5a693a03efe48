"""How the bundled demonstration model is made: pictures with captions and where they come from."""
