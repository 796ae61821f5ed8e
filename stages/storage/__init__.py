"""HDF5 files and the work cache, whose entries are named by the code that made them."""
