#include "tools/isoflop/machine.h"

#include <sched.h>

#include <Eigen/Core>
#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
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
// A small network's training does about this share of the matrix product's own
// speed, and spends this long in the calls of an update.
constexpr double kCpuShareOfProduct = 1.0;
constexpr double kCpuSecondsPerStep = 0.5e-3;

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
  constexpr int kRows = 256, kInner = 64, kColumns = 256;
  const Eigen::MatrixXf a = Eigen::MatrixXf::Random(kRows, kInner);
  const Eigen::MatrixXf b = Eigen::MatrixXf::Random(kInner, kColumns);
  Eigen::MatrixXf c = Eigen::MatrixXf::Zero(kRows, kColumns);
  double best = 0;
  const absl::Time begin = absl::Now();
  while (absl::Now() - begin < absl::Milliseconds(50)) {
    const absl::Time start = absl::Now();
    constexpr int kRepeats = 20;
    for (int i = 0; i < kRepeats; ++i) c.noalias() += a * b;
    const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
    best = std::max(best, kRepeats * 2.0 * kRows * kInner * kColumns / seconds);
  }
  // The sum is used, so that the product is not optimised away.
  return c.sum() == 0.5f ? best * 1.0000001 : best;
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
    machine.flops_per_second = kCpuShareOfProduct * MeasureCoreFlops();
    machine.seconds_per_step = kCpuSecondsPerStep;
  }
  if (slots > 0) machine.slots = slots;
  return machine;
}

}  // namespace isoflop
