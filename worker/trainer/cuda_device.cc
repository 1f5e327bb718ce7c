#include "worker/trainer/cuda_device.h"

#include <ATen/cuda/CUDAContextLight.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>

namespace isoflop {

int CudaDeviceCount() { return c10::cuda::device_count(); }

std::string CudaDeviceName(int device) {
  return at::cuda::getDeviceProperties(static_cast<c10::DeviceIndex>(device))->name;
}

int64_t CudaTotalMemoryBytes(int device) {
  return static_cast<int64_t>(at::cuda::getDeviceProperties(static_cast<c10::DeviceIndex>(device))->totalGlobalMem);
}

int64_t CudaPeakMemoryBytes(int device) {
  return c10::cuda::CUDACachingAllocator::getDeviceStats(static_cast<c10::DeviceIndex>(device)).reserved_bytes[0].peak;
}

void CudaResetPeakMemory(int device) {
  c10::cuda::CUDACachingAllocator::resetPeakStats(static_cast<c10::DeviceIndex>(device));
}

void CudaEmptyCache() { c10::cuda::CUDACachingAllocator::emptyCache(); }

void CudaSetDevice(int device) { c10::cuda::set_device(static_cast<c10::DeviceIndex>(device)); }

}  // namespace isoflop
