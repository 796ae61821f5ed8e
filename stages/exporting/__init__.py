"""A trained model as files that need nothing of this project: one of ONNX, and a folder for a model hub."""
