// A folder of files that lives as long as a test, and small data sets in it.
#ifndef ISOFLOP_TESTS_CORPUS_TEST_FILES_H_
#define ISOFLOP_TESTS_CORPUS_TEST_FILES_H_

#include <stdlib.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace isoflop {

class TestFolder {
 public:
  TestFolder() {
    std::string path = (std::filesystem::temp_directory_path() / "isoflop-corpus-XXXXXX").string();
    path_ = mkdtemp(path.data());
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

  // Writes `content`, in folders that are made, and returns the path.
  std::string Write(const std::string& name, const std::string& content) const {
    const std::string path = File(name);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  std::string Read(const std::string& name) const {
    std::ifstream file(File(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::string path_;
};

// Little-endian ids, one after the other.
template <typename Id>
std::string IdBytes(const std::vector<Id>& ids) {
  return {reinterpret_cast<const char*>(ids.data()), sizeof(Id) * ids.size()};
}

// A file in llm.c's layout whose header says what it is told.
inline std::string LlmCFile(std::int32_t magic, std::int32_t version, std::int32_t count,
                            const std::string& ids) {
  std::string file(1024, '\0');
  const std::int32_t head[3] = {magic, version, count};
  std::memcpy(file.data(), head, sizeof(head));
  return file + ids;
}
template <typename Id>
std::string LlmCFile(const std::vector<Id>& ids) {
  const bool narrow = sizeof(Id) == 2;
  return LlmCFile(narrow ? 20240520 : 20240801, narrow ? 1 : 7,
                  static_cast<std::int32_t>(ids.size()), IdBytes(ids));
}

}  // namespace isoflop

#endif  // ISOFLOP_TESTS_CORPUS_TEST_FILES_H_
