#include "worker/trainer/gradient_buckets.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "study/status_macros.h"

namespace isoflop {
namespace {

class ReadyHook : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit ReadyHook(std::function<void()> ready) : ready_(std::move(ready)) {}
  void operator()(const torch::autograd::Variable&) override { ready_(); }

 private:
  const std::function<void()> ready_;
};

// Backward completes the head first, then the matrices, and last, with the first
// layer, the vectors and the embeddings.
int Stage(ParameterGroup group) {
  return group == ParameterGroup::kHead ? 0 : group == ParameterGroup::kMatrices ? 1 : 2;
}

}  // namespace

std::vector<Bucket> CutBuckets(const ParameterLayout& layout, int64_t riders, int64_t first_bytes, int64_t bucket_bytes) {
  std::vector<int> order;
  for (int stage = 0; stage < 3; ++stage) {
    std::vector<int> members;
    for (size_t i = 0; i < layout.entries.size(); ++i) {
      if (Stage(layout.entries[i].group) == stage) members.push_back(static_cast<int>(i));
    }
    if (stage == 1) std::reverse(members.begin(), members.end());
    order.insert(order.end(), members.begin(), members.end());
  }

  std::vector<Bucket> buckets;
  int stage = -1;
  bool open = false;
  for (int i : order) {
    const ParameterEntry& entry = layout.entries[static_cast<size_t>(i)];
    if (!open || Stage(entry.group) != stage) {
      buckets.push_back({entry.offset, 0, {}});
      stage = Stage(entry.group);
    }
    Bucket& bucket = buckets.back();
    bucket.offset = std::min(bucket.offset, entry.offset);
    bucket.count += entry.count;
    bucket.entries.push_back(i);
    const int64_t limit = buckets.size() == 1 ? first_bytes : bucket_bytes;
    open = bucket.count * static_cast<int64_t>(sizeof(float)) < limit;
  }
  if (buckets.empty() || buckets.back().offset + buckets.back().count != layout.total) buckets.push_back({layout.total, 0, {}});
  buckets.back().count += riders;
  return buckets;
}

GradientBuckets::GradientBuckets(Parameters& parameters, Communicator& communicator)
    : parameters_(parameters),
      communicator_(communicator),
      buckets_(CutBuckets(parameters.layout(), Parameters::kRiders)),
      bucket_of_entry_(parameters.layout().entries.size()) {
  if (communicator_.world_size() == 1) return;
  for (size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    for (int entry : buckets_[bucket].entries) bucket_of_entry_[static_cast<size_t>(entry)] = static_cast<int>(bucket);
  }
  for (size_t i = 0; i < parameters_.leaves().size(); ++i) {
    torch::autograd::impl::set_post_acc_grad_hooks(parameters_.leaves()[i],
                                                   std::make_unique<ReadyHook>([this, i] { Ready(static_cast<int>(i)); }));
  }
}

GradientBuckets::~GradientBuckets() {
  if (communicator_.world_size() == 1) return;
  for (const at::Tensor& leaf : parameters_.leaves()) torch::autograd::impl::set_post_acc_grad_hooks(leaf, nullptr);
}

void GradientBuckets::Arm() {
  missing_.clear();
  for (const Bucket& bucket : buckets_) missing_.push_back(static_cast<int64_t>(bucket.entries.size()));
  missing_.back() += 1;  // the riders
  pending_.clear();
  next_ = 0;
  armed_ = true;
}

void GradientBuckets::Ready(int entry) {
  if (!armed_) return;
  --missing_[static_cast<size_t>(bucket_of_entry_[static_cast<size_t>(entry)])];
  Send(/*all=*/false);
}

// In the order of the buckets, whatever the order of the gradients: the ranks must
// agree on it.
void GradientBuckets::Send(bool all) {
  for (; next_ < buckets_.size() && (all || missing_[next_] == 0); ++next_) {
    const Bucket& bucket = buckets_[next_];
    pending_.push_back(communicator_.AllReduceSum(parameters_.gradients_with_riders().narrow(0, bucket.offset, bucket.count)));
  }
}

void GradientBuckets::Finish() {
  if (communicator_.world_size() == 1) return;
  ISOFLOP_CHECK(armed_, "Finish without Arm");
  armed_ = false;
  sent_in_backward_ = static_cast<int64_t>(next_);
  Send(/*all=*/true);
  for (const std::unique_ptr<Pending>& pending : pending_) pending->Wait();
  pending_.clear();
}

}  // namespace isoflop
