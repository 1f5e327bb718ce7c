// What only the CUDA libraries know. Two sources: cuda_device.cc and, in a build
// without CUDA, no_cuda_device.cc, where there is no device.
//
// No Torch in this header. Thread-safe.
#ifndef ISOFLOP_WORKER_TRAINER_CUDA_DEVICE_H_
#define ISOFLOP_WORKER_TRAINER_CUDA_DEVICE_H_

#include <cstdint>
#include <string>

namespace isoflop {

// 0 without a driver.
int CudaDeviceCount();

// The rest: `device` is below CudaDeviceCount().
std::string CudaDeviceName(int device);
int64_t CudaTotalMemoryBytes(int device);
// Most that the allocator has reserved since the start or the last reset.
int64_t CudaPeakMemoryBytes(int device);
void CudaResetPeakMemory(int device);
// Gives cached blocks back, after an out-of-memory in the probe.
void CudaEmptyCache();
// Makes `device` the current one of this thread.
void CudaSetDevice(int device);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_CUDA_DEVICE_H_
