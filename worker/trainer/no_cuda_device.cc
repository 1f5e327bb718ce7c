#include "worker/trainer/cuda_device.h"

namespace isoflop {

int CudaDeviceCount() { return 0; }
std::string CudaDeviceName(int) { return ""; }
int64_t CudaTotalMemoryBytes(int) { return 0; }
int64_t CudaPeakMemoryBytes(int) { return 0; }
void CudaResetPeakMemory(int) {}
void CudaEmptyCache() {}
void CudaSetDevice(int) {}

}  // namespace isoflop
