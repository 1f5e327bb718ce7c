#include "worker/trainer/cuda_device.h"
#include "worker/trainer/recorded_work.h"

namespace isoflop {

int CudaDeviceCount() { return 0; }
std::string CudaDeviceName(int) { return ""; }
int64_t CudaTotalMemoryBytes(int) { return 0; }
int64_t CudaPeakMemoryBytes(int) { return 0; }
void CudaResetPeakMemory(int) {}
void CudaEmptyCache() {}
void CudaSetDevice(int) {}

std::unique_ptr<RecordedWork> MakeRecordedCudaWork(int) { return MakeCalledWork(); }
std::shared_ptr<void> UseOwnCudaStream(int) { return nullptr; }

}  // namespace isoflop
