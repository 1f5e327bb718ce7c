// Unary calls that are not answered yet, so that a server that stops can end
// those whose answer will never be on disk.
//
// Thread-safe.
#ifndef ISOFLOP_COORDINATOR_OPEN_CALLS_H_
#define ISOFLOP_COORDINATOR_OPEN_CALLS_H_

#include <functional>
#include <map>
#include <memory>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"
#include "grpcpp/support/status.h"

namespace isoflop {

// The status as the wire has it; the codes are the same numbers.
grpc::Status ToGrpc(const absl::Status& status);

class OpenCalls {
 public:
  // Ends one call: runs `fill` (which writes the response) and finishes with
  // the status, unless the call was ended before.
  using Finish = std::function<void(const absl::Status& status, std::function<void()> fill)>;

  Finish Add(std::function<void(grpc::Status)> finish);
  void EndAll(const absl::Status& status);

 private:
  absl::Mutex mu_;
  uint64_t next_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<uint64_t, std::function<void(grpc::Status)>> open_ ABSL_GUARDED_BY(mu_);
};

}  // namespace isoflop

#endif  // ISOFLOP_COORDINATOR_OPEN_CALLS_H_
