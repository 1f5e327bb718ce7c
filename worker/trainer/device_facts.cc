#include "worker/trainer/device_facts.h"

#include <ATen/Context.h>
#include <sys/resource.h>

#include <fstream>

#include "worker/trainer/cuda_device.h"

namespace isoflop {
namespace {

struct Peak {
  const char* name;  // part of the device's name; the first row that fits counts
  double bf16;       // dense tensor FLOP/s
  double fp32;       // without TF32
};

// NVIDIA's data sheets, without sparsity.
constexpr Peak kPeaks[] = {
    {"B200", 2250e12, 80e12},      {"H200", 989.4e12, 67e12},     {"H100 PCIe", 756e12, 51e12},
    {"H100", 989.4e12, 67e12},     {"A100", 312e12, 19.5e12},     {"L40S", 362e12, 91.6e12},
    {"L4", 121e12, 30.3e12},       {"A10G", 70e12, 31.2e12},      {"A10", 125e12, 31.2e12},
    {"RTX 4090", 165.2e12, 82.6e12}, {"RTX 3090", 71e12, 35.6e12},
};

std::string CpuModelName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) != 0) continue;
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

}  // namespace

at::Device ChooseDevice(int local_rank) {
  const int count = CudaDeviceCount();
  if (count == 0) return at::Device(at::kCPU);
  const int device = local_rank % count;  // ranks may share one, in tests
  CudaSetDevice(device);
  return at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device));
}

std::string DeviceName(at::Device device) {
  return device.is_cuda() ? "cuda: " + CudaDeviceName(device.index()) : "cpu: " + CpuModelName();
}

std::optional<double> PeakFlopsPerSecond(const std::string& device_name, Precision precision) {
  for (const Peak& peak : kPeaks) {
    if (device_name.rfind("cuda: ", 0) == 0 && device_name.find(peak.name) != std::string::npos) {
      return precision == Precision::kBf16 ? peak.bf16 : peak.fp32;
    }
  }
  return std::nullopt;
}

int64_t PeakMemoryBytes(at::Device device) {
  if (device.is_cuda()) return CudaPeakMemoryBytes(device.index());
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
}

void SetNumerics(at::Device device, bool deterministic) {
  if (!device.is_cuda()) return;
  at::Context& context = at::globalContext();
  context.setAllowTF32CuBLAS(false);
  context.setBenchmarkCuDNN(false);
  if (!deterministic) return;
  context.setDeterministicFillUninitializedMemory(false);
  context.setDeterministicAlgorithms(true, /*warn_only=*/false);
  context.setSDPUseCuDNN(false);
}

}  // namespace isoflop
