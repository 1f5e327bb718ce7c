# LibTorch as the PyPI wheel brings it: headers, libraries and the CUDA wheels
# beside it. Not find_package(Torch): its config wants nvToolsExt, which CUDA 13
# no longer has (pytorch #116242).
#
# In:  ISOFLOP_TORCH_DIR, or the cache folder that tools/setup.sh fills.
# Out: LibTorch_FOUND, target LibTorch::Cpu, and with CUDA libraries in the
#      wheel LibTorch::Cuda (a superset) and ISOFLOP_TRAINER_CUDA_FOUND.
set(_isoflop_cache "$ENV{XDG_CACHE_HOME}")
if(NOT _isoflop_cache)
  set(_isoflop_cache "$ENV{HOME}/.cache")
endif()
if(ISOFLOP_TORCH_DIR)
  set(_torch ${ISOFLOP_TORCH_DIR})
else()
  file(GLOB _torch ${_isoflop_cache}/isoflop/venv/lib/python3*/site-packages/torch)
endif()
find_path(LibTorch_INCLUDE_DIR ATen/ATen.h PATHS ${_torch}/include NO_DEFAULT_PATH NO_CACHE)
find_library(LibTorch_CPU_LIBRARY torch_cpu PATHS ${_torch}/lib NO_DEFAULT_PATH NO_CACHE)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "run tools/setup.sh, or give -DISOFLOP_TORCH_DIR=<torch folder of a Python environment>, or -DISOFLOP_WITH_TRAINER=OFF")

if(LibTorch_FOUND AND NOT TARGET LibTorch::Cpu)
  set(LibTorch_DIR ${_torch})
  get_filename_component(_site ${_torch} DIRECTORY)
  add_library(LibTorch::Cpu INTERFACE IMPORTED)
  target_include_directories(LibTorch::Cpu SYSTEM INTERFACE
    ${_torch}/include ${_torch}/include/torch/csrc/api/include)
  target_link_libraries(LibTorch::Cpu INTERFACE ${_torch}/lib/libtorch_cpu.so ${_torch}/lib/libc10.so)
  target_link_options(LibTorch::Cpu INTERFACE -Wl,--disable-new-dtags -Wl,-rpath,${_torch}/lib)

  file(GLOB _cudart ${_site}/nvidia/cu13/lib/libcudart.so.13)
  # CUDA's headers include these two, of wheels that torch does not bring.
  set(_cuda_headers ${_site}/nvidia/cu13/include $ENV{CUDA_HOME}/include /usr/local/cuda/include)
  find_path(_cuda_crt crt/host_defines.h PATHS ${_cuda_headers} NO_DEFAULT_PATH NO_CACHE)
  find_path(_cuda_cccl nv/target PATHS ${_cuda_headers} PATH_SUFFIXES cccl NO_DEFAULT_PATH NO_CACHE)
  set(ISOFLOP_TRAINER_CUDA_FOUND OFF)
  if(EXISTS ${_torch}/lib/libtorch_cuda.so AND NOT (_cuda_crt AND _cuda_cccl))
    message(WARNING "no crt/host_defines.h or nv/target: isoflop-trainer is built for the CPU alone. "
      "Cure: pip install 'nvidia-cuda-crt==13.0.*' 'nvidia-cuda-cccl==13.0.*' into the environment of ${_torch}, "
      "or set CUDA_HOME to a CUDA 13 toolkit")
  elseif(EXISTS ${_torch}/lib/libtorch_cuda.so AND _cudart AND EXISTS ${_site}/nvidia/nccl/include/nccl.h)
    set(ISOFLOP_TRAINER_CUDA_FOUND ON)
    add_library(LibTorch::Cuda INTERFACE IMPORTED)
    target_include_directories(LibTorch::Cuda SYSTEM INTERFACE
      ${_site}/nvidia/cu13/include ${_site}/nvidia/nccl/include ${_cuda_crt} ${_cuda_cccl})
    target_link_libraries(LibTorch::Cuda INTERFACE LibTorch::Cpu
      -Wl,--no-as-needed ${_torch}/lib/libtorch.so ${_torch}/lib/libtorch_cuda.so
      ${_torch}/lib/libc10_cuda.so ${_cudart} -Wl,--as-needed)
    target_link_options(LibTorch::Cuda INTERFACE -Wl,-rpath,${_site}/nvidia/cu13/lib)
  endif()
endif()
