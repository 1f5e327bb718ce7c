#include "worker/trainer/group_store.h"

#include <c10/util/Exception.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <algorithm>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace isoflop {
namespace {

constexpr std::chrono::milliseconds kGoodbye{2000};
constexpr char kLeaseKey[] = "isoflop/lease";

std::vector<uint8_t> Bytes(const std::string& text) { return {text.begin(), text.end()}; }
std::string Text(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

std::string MinKey(int64_t call, int rank) { return absl::StrCat("min/", call, "/", rank); }

c10::intrusive_ptr<c10d::Store> OpenStore(const Rendezvous& rendezvous, std::chrono::milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(rendezvous.master_port);
  options.isServer = rendezvous.rank == 0;
  options.numWorkers = rendezvous.world_size;
  options.waitWorkers = false;  // a rank of an older lease would be counted
  options.timeout = timeout;
  return c10::make_intrusive<c10d::TCPStore>(rendezvous.master_addr, options);
}

}  // namespace

CommunicationError DescribeError(const std::string& doing, const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  std::string what = torch_error != nullptr ? torch_error->what_without_backtrace() : error.what();
  what = what.substr(0, what.find("\nException raised from"));
  return CommunicationError(absl::StrCat(doing, ": ", what));
}

GroupStore::GroupStore(const Rendezvous& rendezvous)
    : rank_(rendezvous.rank),
      world_size_(rendezvous.world_size),
      timeout_(absl::ToInt64Milliseconds(rendezvous.timeout)) {
  const std::string address = absl::StrCat(rendezvous.master_addr, ":", rendezvous.master_port);
  std::string lease = absl::StrCat(rendezvous.lease);
  std::string found = lease;
  try {
    auto store = OpenStore(rendezvous, timeout_);
    if (rank_ == 0) {
      store->set(kLeaseKey, Bytes(lease));
    } else {
      store->wait({kLeaseKey}, timeout_);
      found = Text(store->get(kLeaseKey));
    }
    store_ = c10::make_intrusive<c10d::PrefixStore>(absl::StrCat("lease-", lease), std::move(store));
  } catch (const std::exception& error) {
    throw DescribeError(absl::StrCat("rank ", rank_, " cannot meet the others at ", address), error);
  }
  if (found != lease) {
    failed_ = true;
    throw CommunicationError(absl::StrCat("rank ", rank_, " is of lease ", lease, ", but at ", address, " lease ", found,
                                          " meets: this rank is not let in"));
  }
}

GroupStore::~GroupStore() {
  if (failed_ || std::uncaught_exceptions() > 0) return;
  try {
    store_->set(absl::StrCat("goodbye/", rank_), Bytes("1"));
    if (rank_ != 0) return;
    std::vector<std::string> keys;
    for (int rank = 0; rank < world_size_; ++rank) keys.push_back(absl::StrCat("goodbye/", rank));
    store_->wait(keys, std::min(kGoodbye, timeout_));
  } catch (const std::exception&) {
    // Whoever is not there any more needs no store.
  }
}

int64_t GroupStore::Min(int64_t value) {
  const int64_t call = min_calls_++;
  try {
    store_->set(MinKey(call, rank_), Bytes(absl::StrCat(value)));
    std::vector<std::string> keys;
    for (int rank = 0; rank < world_size_; ++rank) keys.push_back(MinKey(call, rank));
    store_->wait(keys, timeout_);
    int64_t smallest = value;
    for (const std::vector<uint8_t>& bytes : store_->multiGet(keys)) {
      int64_t other = 0;
      if (!absl::SimpleAtoi(Text(bytes), &other)) throw std::runtime_error("not a number: " + Text(bytes));
      smallest = std::min(smallest, other);
    }
    // All have come here, so all have read what the call before was about.
    if (call > 0) store_->deleteKey(MinKey(call - 1, rank_));
    return smallest;
  } catch (const std::exception& error) {
    failed_ = true;
    throw DescribeError(absl::StrCat("rank ", rank_, " waits for a number of every rank"), error);
  }
}

}  // namespace isoflop
