#include "worker/trainer/rank_agreement.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "corpus/sha256.h"
#include "study/status_macros.h"

namespace isoflop {
namespace {

// Names, shapes and, tensor by tensor, the sum of the weights' bits: made on the
// device, and other under any other seed.
std::string ParametersText(const Parameters& parameters) {
  at::NoGradGuard no_grad;
  std::string text;
  for (const ParameterEntry& entry : parameters.layout().entries) {
    const at::Tensor bits = parameters.weights().narrow(0, entry.offset, entry.count).view(at::kInt);
    absl::StrAppend(&text, entry.name, " ", absl::StrJoin(entry.shape, "x"), " ", bits.sum(at::kLong).item<int64_t>(), "\n");
  }
  return text;
}

}  // namespace

absl::Status CheckSameOnRanks(Communicator& communicator, const std::string& what, const std::string& value) {
  // 63 bits, so that the negative is there too. All equal: the smallest hash is
  // the largest.
  const auto hash = static_cast<int64_t>(FirstU64(Sha256Bytes(std::string_view(value))) >> 1);
  const int64_t smallest = communicator.Min(hash);
  const int64_t largest = -communicator.Min(-hash);
  if (smallest == largest) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("rank ", communicator.rank(), " of ", communicator.world_size(), ": ", what,
                                                 " differs between the ranks\ncure: start every rank with the same trial, data and "
                                                 "build of isoflop-trainer"));
}

absl::Status CheckRanksAgree(Communicator& communicator, const std::string& trial_text, const Parameters& parameters,
                             const std::string& code_version) {
  if (communicator.world_size() == 1) return absl::OkStatus();
  // Each rank makes every call, also after a difference: all learn the same.
  const absl::Status trial = CheckSameOnRanks(communicator, "the trial", trial_text);
  const absl::Status weights = CheckSameOnRanks(communicator, "the parameters", ParametersText(parameters));
  const absl::Status code = CheckSameOnRanks(communicator, "the code version", code_version);
  ISOFLOP_RETURN_IF_ERROR(trial);
  ISOFLOP_RETURN_IF_ERROR(weights);
  return code;
}

}  // namespace isoflop
