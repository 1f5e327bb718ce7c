#include "worker/trainer/backend_communicator.h"

#include <exception>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "study/status_macros.h"

namespace isoflop {

template <class Call>
auto BackendCommunicator::Guarded(const char* doing, const Call& call) {
  const std::string where = absl::StrCat("rank ", rank(), " of ", world_size(), ", ", name_, " ", doing);
  if (aborted_) throw CommunicationError(where + ": the group was aborted");
  try {
    return call();
  } catch (const CommunicationError&) {
    store_->SetFailed();
    throw;
  } catch (const std::exception& error) {
    store_->SetFailed();
    throw DescribeError(where, error);
  }
}

class BackendCommunicator::BackendPending : public Pending {
 public:
  BackendPending(BackendCommunicator& group, c10::intrusive_ptr<c10d::Work> work) : group_(group), work_(std::move(work)) {}
  void Wait() override {
    group_.Guarded("all-reduce", [this] { work_->wait(); });
  }

 private:
  BackendCommunicator& group_;
  c10::intrusive_ptr<c10d::Work> work_;
};

BackendCommunicator::BackendCommunicator(std::string name, std::unique_ptr<GroupStore> store,
                                         c10::intrusive_ptr<c10d::Backend> backend, std::function<void()> abort)
    : name_(std::move(name)), store_(std::move(store)), backend_(std::move(backend)), abort_(std::move(abort)) {}

BackendCommunicator::~BackendCommunicator() {
  // A backend waits at its end for what is under way; of a failed group that may
  // be until the timeout.
  if (std::uncaught_exceptions() > 0) Abort();
}

std::unique_ptr<Pending> BackendCommunicator::AllReduceSum(at::Tensor slice) {
  ISOFLOP_CHECK(slice.is_contiguous() && (slice.scalar_type() == at::kFloat || slice.scalar_type() == at::kDouble),
                "a slice to sum is contiguous fp32 or fp64");
  return Guarded("all-reduce", [&]() -> std::unique_ptr<Pending> {
    std::vector<at::Tensor> tensors{std::move(slice)};
    c10d::AllreduceOptions options;
    options.reduceOp = c10d::ReduceOp::SUM;
    return std::make_unique<BackendPending>(*this, backend_->allreduce(tensors, options));
  });
}

void BackendCommunicator::Broadcast(at::Tensor tensor, int root) {
  ISOFLOP_CHECK(tensor.is_contiguous(), "a tensor to broadcast is contiguous");
  Guarded("broadcast", [&] {
    std::vector<at::Tensor> tensors{std::move(tensor)};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    backend_->broadcast(tensors, options)->wait();
  });
}

int64_t BackendCommunicator::Min(int64_t value) {
  return Guarded("min", [&] { return store_->Min(value); });
}

void BackendCommunicator::Abort() {
  if (aborted_.exchange(true)) return;
  store_->SetFailed();
  try {
    abort_();
  } catch (const std::exception&) {
    // It is as ended as it can be.
  }
}

}  // namespace isoflop
