// Where the data sets lie that trials name by hash: the SHA-256 of the bytes of
// dataset.json.
//
// Blocks on the disk. Not thread-safe.
#ifndef ISOFLOP_WORKER_AGENT_DATASETS_H_
#define ISOFLOP_WORKER_AGENT_DATASETS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace isoflop {

class Datasets {
 public:
  // <root>/dataset.json and <root>/<any>/dataset.json of each.
  explicit Datasets(std::vector<std::string> roots) : roots_(std::move(roots)) {}

  // Looks again; hashes only what is new or changed. Returns whether another
  // set of hashes is there than before.
  bool Scan();
  // Path of the dataset.json; empty: not here.
  std::string Find(const std::string& sha256) const;
  std::vector<std::string> hashes() const;

 private:
  struct Seen {
    int64_t modified_ns = 0;
    int64_t bytes = 0;
    std::string sha256;
  };

  const std::vector<std::string> roots_;
  std::map<std::string, Seen> seen_;           // by path
  std::map<std::string, std::string> by_hash_;  // path
};

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_AGENT_DATASETS_H_
