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
  if (aborted()) throw CommunicationError(where + ": the group was aborted");
  try {
    return call();
  } catch (const CommunicationError& error) {
    store_->SetFailed();
    throw CommunicationError(absl::StrCat(where, ": ", error.what()));
  } catch (const std::exception& error) {
    store_->SetFailed();
    throw DescribeError(where, error);
  }
}

class BackendCommunicator::BackendPending : public Pending {
 public:
  BackendPending(BackendCommunicator& group, c10::intrusive_ptr<c10d::Work> work) : group_(group), work_(std::move(work)) {}
  void Wait() override {
    group_.Guarded("all-reduce", [this] { group_.WaitFor(*work_); });
  }

 private:
  BackendCommunicator& group_;
  c10::intrusive_ptr<c10d::Work> work_;
};

BackendCommunicator::BackendCommunicator(std::string name, std::unique_ptr<GroupStore> store,
                                         c10::intrusive_ptr<c10d::Backend> backend, bool waits_on_host,
                                         std::function<void()> abort)
    : name_(std::move(name)),
      store_(std::move(store)),
      backend_(std::move(backend)),
      waits_on_host_(waits_on_host),
      abort_(std::move(abort)) {}

BackendCommunicator::~BackendCommunicator() {
  if (std::uncaught_exceptions() > 0) Abort();
  // A backend waits at its end for what is under way, and what was aborted may
  // last until the timeout: it is left to the end of the process.
  if (aborted() && waits_on_host_) (void)backend_.release();
}

bool BackendCommunicator::aborted() const {
  std::lock_guard<std::mutex> lock(gate_->mu);
  return gate_->aborted;
}

void BackendCommunicator::WaitFor(c10d::Work& work) {
  if (waits_on_host_) {
    const auto future = work.getFuture();
    future->addCallback([gate = gate_](c10::ivalue::Future&) {
      std::lock_guard<std::mutex> lock(gate->mu);
      gate->changed.notify_all();
    });
    std::unique_lock<std::mutex> lock(gate_->mu);
    gate_->changed.wait(lock, [&] { return gate_->aborted || future->completed(); });
    if (!future->completed()) throw CommunicationError("the group was aborted");
  }
  work.wait();
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
    WaitFor(*backend_->broadcast(tensors, options));
  });
}

int64_t BackendCommunicator::Min(int64_t value) {
  return Guarded("min", [&] { return store_->Min(value); });
}

void BackendCommunicator::Abort() {
  {
    std::lock_guard<std::mutex> lock(gate_->mu);
    if (gate_->aborted) return;
    gate_->aborted = true;
    gate_->changed.notify_all();
  }
  store_->SetFailed();
  try {
    abort_();
  } catch (const std::exception&) {
    // It is as ended as it can be.
  }
}

}  // namespace isoflop
