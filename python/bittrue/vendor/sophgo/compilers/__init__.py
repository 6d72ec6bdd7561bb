"""The vendor's compilers: bmnetc (Caffe), bmneto (ONNX) and bmnetu (umodels). docs/sophgo-compilers.md"""
