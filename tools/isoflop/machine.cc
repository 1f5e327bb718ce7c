#include "tools/isoflop/machine.h"

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "study/did_you_mean.h"

namespace isoflop {
namespace {

struct Device {
  const char* name;
  double memory_bytes;
  double peak_flops;  // dense bf16, per second, from the maker's data sheet
};

constexpr double kGB = 1e9;
constexpr Device kDevices[] = {
    {"B200", 180 * kGB, 2250e12}, {"H200", 141 * kGB, 989e12}, {"H100", 80 * kGB, 989e12},
    {"A100", 80 * kGB, 312e12},   {"L40S", 48 * kGB, 362e12},  {"A40", 48 * kGB, 150e12},
    {"L4", 24 * kGB, 121e12},     {"RTX4090", 24 * kGB, 165e12}, {"V100", 32 * kGB, 125e12},
};

constexpr double kShareOfPeak = 0.35;
// What a trainer of small networks makes of a core whose plain product
// (MeasureCoreFlops) runs at 1.5e10: 8.3e10 FLOP/s in its matrix products and
// 2.4 ms of every update in all that is none. From the tokens/s of the
// quickstart's nine shapes, d 16 to 96, both cores of an idle machine busy. A
// first guess: measured speeds of the store come before it.
constexpr double kCpuProductSpeedup = 5.5;
constexpr double kCpuFlopsPerStep = 2.4e-3 * 1.5e10;

double ThreadCpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

MachineSlots FromDevice(const Device& device) {
  return MachineSlots{1, device.memory_bytes, kShareOfPeak * device.peak_flops, 0, device.name};
}

}  // namespace

absl::StatusOr<MachineSlots> DeviceFacts(const std::string& device) {
  std::string wanted = absl::AsciiStrToUpper(device);
  wanted.erase(std::remove(wanted.begin(), wanted.end(), ' '), wanted.end());
  std::vector<std::string> names;
  for (const Device& known : kDevices) {
    names.emplace_back(known.name);
    if (wanted == known.name) return FromDevice(known);
  }
  for (const Device& known : kDevices) {
    if (absl::StrContains(wanted, known.name)) return FromDevice(known);
  }
  return absl::NotFoundError(absl::StrCat("device: '", device, "' is not known", DidYouMeanClause(device, names),
                                          "\ncure: one of ", absl::StrJoin(names, ", ")));
}

int CountCores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof(cores), &cores) != 0) return 1;
  return std::max(1, CPU_COUNT(&cores));
}

std::vector<std::string> GpuNames() {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& folder : std::filesystem::directory_iterator("/proc/driver/nvidia/gpus", ignored)) {
    std::ifstream information(folder.path() / "information");
    std::string line;
    while (std::getline(information, line)) {
      if (absl::StartsWith(line, "Model:")) names.emplace_back(absl::StripAsciiWhitespace(line.substr(6)));
    }
  }
  return names;
}

double MeasureCoreFlops() {
  // Four floats at once by name: what -O2 makes of a plain loop differs from
  // compiler to compiler, and with it the scale.
  using Float4 = float __attribute__((vector_size(16)));
  constexpr size_t kRows = 128, kInner = 64, kColumns = 256 / 4;
  const std::vector<float> a(kRows * kInner, 0.5f);
  const std::vector<Float4> b(kInner * kColumns, Float4{0.25f, 0.25f, 0.25f, 0.25f});
  std::vector<Float4> c(kRows * kColumns, Float4{});
  double best = 0;
  const double begin = ThreadCpuSeconds();
  while (ThreadCpuSeconds() - begin < 0.05) {
    const double start = ThreadCpuSeconds();
    for (size_t i = 0; i < kRows; ++i) {
      for (size_t k = 0; k < kInner; ++k) {
        const float factor = a[i * kInner + k];
        for (size_t j = 0; j < kColumns; ++j) c[i * kColumns + j] += factor * b[k * kColumns + j];
      }
    }
    best = std::max(best, 8.0 * kRows * kInner * kColumns / (ThreadCpuSeconds() - start));
  }
  // The sum is used, so that the product is not optimised away.
  return c[5][0] > 0 ? best : 0;
}

MachineSlots MachineFacts(bool use_gpus, int slots) {
  MachineSlots machine;
  if (use_gpus) {
    const std::vector<std::string> gpus = GpuNames();
    if (!gpus.empty()) {
      const absl::StatusOr<MachineSlots> device = DeviceFacts(gpus.front());
      if (device.ok()) machine = *device;
      machine.slots = static_cast<int>(gpus.size());
      machine.device = absl::StrCat("cuda: ", gpus.front());
    }
  } else {
    machine.slots = CountCores();
    machine.device = "cpu: ";
    const double core_flops = MeasureCoreFlops();
    machine.flops_per_second = kCpuProductSpeedup * core_flops;
    machine.seconds_per_step = kCpuFlopsPerStep / core_flops;
  }
  if (slots > 0) machine.slots = slots;
  return machine;
}

}  // namespace isoflop
