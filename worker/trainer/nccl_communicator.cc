// Torch's headers show ProcessGroupNCCL to those who say that it is there; the
// wheel's libtorch_cuda has it. Nowhere else.
#ifdef ISOFLOP_TRAINER_HAS_CUDA
#define USE_DISTRIBUTED
#define USE_C10D_NCCL
#include <c10/cuda/CUDAFunctions.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/trainer/backend_communicator.h"

namespace isoflop {

std::unique_ptr<Communicator> MakeNcclCommunicator(const Rendezvous& rendezvous, int device) {
  // Before anyone waits for this rank.
  const int devices = c10::cuda::device_count();
  if (device >= devices) {
    const std::string found = devices == 0 ? std::string("no GPUs found") : absl::StrCat("of ", devices, " GPUs there is no number ", device);
    throw CommunicationError(absl::StrCat("nccl: ", found, " by rank ", rendezvous.rank,
                                          "\ncure: train on the CPU (Gloo), or give this rank a GPU: nvidia-smi, CUDA_VISIBLE_DEVICES"));
  }
  auto store = std::make_unique<GroupStore>(rendezvous);
  try {
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = std::chrono::milliseconds(absl::ToInt64Milliseconds(rendezvous.timeout));
    auto group = c10::make_intrusive<c10d::ProcessGroupNCCL>(store->store(), rendezvous.rank, rendezvous.world_size,
                                                             std::move(options));
    // The ranks connect here and now, and an error comes here, not at the first
    // all-reduce.
    const at::Device bound(at::kCUDA, static_cast<at::DeviceIndex>(device));
    group->setBoundDeviceId(bound);
    group->eagerConnectSingleDevice(bound);
    c10d::ProcessGroupNCCL* to_abort = group.get();
    return std::make_unique<BackendCommunicator>("nccl", std::move(store), std::move(group), /*waits_on_host=*/false,
                                                 [to_abort] { to_abort->abort(); });
  } catch (const CommunicationError&) {
    throw;
  } catch (const std::exception& error) {
    if (store != nullptr) store->SetFailed();
    throw DescribeError(absl::StrCat("rank ", rendezvous.rank, " of ", rendezvous.world_size, " cannot join the group over nccl"),
                        error);
  }
}

}  // namespace isoflop

#else
#include "worker/trainer/communicator.h"

namespace isoflop {

std::unique_ptr<Communicator> MakeNcclCommunicator(const Rendezvous&, int) {
  throw CommunicationError(
      "nccl: no GPUs found: this isoflop-trainer was built without CUDA\ncure: build it with -DISOFLOP_TRAINER_CUDA=ON against a "
      "torch that has CUDA");
}

}  // namespace isoflop
#endif
