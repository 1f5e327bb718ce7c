#include "worker/agent/datasets.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "study/trial_text.h"

namespace isoflop {

bool Datasets::Scan() {
  std::map<std::string, Seen> found;
  const auto look = [&](const std::filesystem::path& folder) {
    const std::string path = std::filesystem::absolute(folder / "dataset.json").lexically_normal().string();
    struct stat info;
    if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return;
    const int64_t modified = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
    const auto known = seen_.find(path);
    if (known != seen_.end() && known->second.modified_ns == modified &&
        known->second.bytes == info.st_size) {
      found[path] = known->second;
      return;
    }
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in) return;
    found[path] = {modified, info.st_size, Sha256Hex(text.str())};
  };
  for (const std::string& root : roots_) {
    look(root);
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(root, error)) {
      std::error_code ignored;
      if (entry.is_directory(ignored)) look(entry.path());
    }
  }
  seen_ = std::move(found);
  std::map<std::string, std::string> by_hash;
  for (const auto& [path, seen] : seen_) by_hash.emplace(seen.sha256, path);
  const bool changed = hashes() != [&] {
    std::vector<std::string> out;
    for (const auto& [hash, path] : by_hash) out.push_back(hash);
    return out;
  }();
  by_hash_ = std::move(by_hash);
  return changed;
}

std::string Datasets::Find(const std::string& sha256) const {
  const auto found = by_hash_.find(sha256);
  return found == by_hash_.end() ? "" : found->second;
}

std::vector<std::string> Datasets::hashes() const {
  std::vector<std::string> out;
  for (const auto& [hash, path] : by_hash_) out.push_back(hash);
  return out;
}

}  // namespace isoflop
