"""The torch side: units of a UNet, the cached UNet, sampling, calibration and the worker loop."""
