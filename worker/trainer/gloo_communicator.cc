// Torch's headers show ProcessGroupGloo to those who say that it is there; the
// wheel's libtorch_cpu has it. Nowhere else.
#define USE_DISTRIBUTED
#define USE_C10D_GLOO
#include <gloo/context.h>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <chrono>
#include <cstdlib>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "worker/trainer/backend_communicator.h"

namespace isoflop {
namespace {

// Torch's process group has no abort for Gloo: this one closes the sockets, which
// the peers see at once.
class AbortableGloo : public c10d::ProcessGroupGloo {
 public:
  using c10d::ProcessGroupGloo::ProcessGroupGloo;

  void CloseConnections() {
    for (auto& context : contexts_) context->closeConnections();
  }
};

std::shared_ptr<gloo::transport::Device> MakeDevice(const std::string& master_addr) {
  // As in Torch: a person may name the network.
  if (const char* interface = std::getenv("GLOO_SOCKET_IFNAME"); interface != nullptr && *interface != '\0') {
    return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
  }
  // All ranks on one node.
  if (absl::StartsWith(master_addr, "127.") || master_addr == "localhost") {
    return c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1");
  }
  return c10d::ProcessGroupGloo::createDefaultDevice();
}

}  // namespace

std::unique_ptr<Communicator> MakeGlooCommunicator(const Rendezvous& rendezvous) {
  auto store = std::make_unique<GroupStore>(rendezvous);
  try {
    auto options = c10d::ProcessGroupGloo::Options::create(std::chrono::milliseconds(absl::ToInt64Milliseconds(rendezvous.timeout)));
    options->devices.push_back(MakeDevice(rendezvous.master_addr));
    auto group = c10::make_intrusive<AbortableGloo>(store->store(), rendezvous.rank, rendezvous.world_size, std::move(options));
    AbortableGloo* to_abort = group.get();
    return std::make_unique<BackendCommunicator>("gloo", std::move(store), std::move(group), /*waits_on_host=*/true,
                                                 [to_abort] { to_abort->CloseConnections(); });
  } catch (const CommunicationError&) {
    throw;
  } catch (const std::exception& error) {
    if (store != nullptr) store->SetFailed();
    throw DescribeError(absl::StrCat("rank ", rendezvous.rank, " of ", rendezvous.world_size, " cannot join the group over gloo"),
                        error);
  }
}

}  // namespace isoflop
