"""Unpacks what a program on libtorch's CPU half needs from the wheels in a folder: unpack.py WHEELS SITE.

The CUDA libraries and the Python half of torch are half of its 1.2 GB; nothing we link names them.
"""
import pathlib
import re
import sys
import zipfile

WANTED = re.compile(r"torch/(include|share/cmake)/|torch/lib/[^/]*\.so|torch/version\.py$|.*\.dist-info/|.*\.libs/"
                    r"|nvidia/cu13/lib/lib(cudart|cupti)\.so")
UNWANTED = re.compile(r"torch/lib/lib(torch|torch_cuda.*|torch_python|torch_nvshmem|caffe2_nvrtc|c10_cuda|shm"
                      r"|torch_global_deps)\.so")

wheels, site = map(pathlib.Path, sys.argv[1:])
for wheel in sorted(wheels.glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site, [name for name in archive.namelist()
                                  if WANTED.match(name) and not UNWANTED.match(name)])
