#include "worker/trainer/recorded_work.h"

namespace isoflop {
namespace {

class CalledWork final : public RecordedWork {
 public:
  void Run(const std::function<void()>& work) override { work(); }
  std::string why_not() const override { return ""; }
  bool is_replayed() const override { return false; }
};

}  // namespace

std::unique_ptr<RecordedWork> MakeCalledWork() { return std::make_unique<CalledWork>(); }

}  // namespace isoflop
