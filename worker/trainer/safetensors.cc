#include "worker/trainer/safetensors.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "corpus/file_access.h"
#include "nlohmann/json.hpp"
#include "study/status_macros.h"

namespace isoflop {
namespace {

static_assert(std::endian::native == std::endian::little, "the data of safetensors are little-endian");

using Json = nlohmann::ordered_json;

// As the reference implementation: no sane header is longer.
constexpr int64_t kMaxHeaderBytes = 100'000'000;
// Data go to the sink and come from the file in pieces of this size.
constexpr int64_t kPieceBytes = int64_t{1} << 20;

int64_t DtypeBytes(const std::string& dtype) {
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 8;
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 2;
  if (dtype == "I8" || dtype == "U8" || dtype == "BOOL" || dtype == "F8_E4M3" || dtype == "F8_E5M2") return 1;
  return 0;
}

std::string ShapeText(const std::vector<int64_t>& shape) { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); }

// The product of `shape`, or -1 where it is negative somewhere or overflows.
int64_t CountOf(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(count, size, &count)) return -1;
  }
  return count;
}

absl::Status Bad(int64_t offset, const std::string& what) {
  return absl::DataLossError(absl::StrCat("offset ", offset, ": ", what));
}

bool IsCount(const Json& value) { return value.is_number_unsigned() && value.get<uint64_t>() <= std::numeric_limits<int64_t>::max(); }

absl::StatusOr<SafetensorsEntry> ParseEntry(const std::string& name, const Json& value) {
  auto bad = [&](const std::string& what) { return Bad(8, absl::StrCat("tensor '", name, "': ", what)); };
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") || !value.contains("shape") ||
      !value.contains("data_offsets")) {
    return bad("its entry has not just dtype, shape and data_offsets");
  }
  SafetensorsEntry entry;
  entry.name = name;
  const Json& dtype = value["dtype"];
  const Json& shape = value["shape"];
  const Json& offsets = value["data_offsets"];
  if (!dtype.is_string() || DtypeBytes(dtype.get<std::string>()) == 0) return bad("unknown dtype " + dtype.dump());
  entry.dtype = dtype.get<std::string>();
  if (!shape.is_array() || !std::all_of(shape.begin(), shape.end(), IsCount)) return bad("shape " + shape.dump());
  entry.shape = shape.get<std::vector<int64_t>>();
  if (!offsets.is_array() || offsets.size() != 2 || !IsCount(offsets[0]) || !IsCount(offsets[1])) {
    return bad("data_offsets " + offsets.dump());
  }
  entry.begin = offsets[0].get<int64_t>();
  entry.end = offsets[1].get<int64_t>();
  const int64_t count = CountOf(entry.shape);
  int64_t bytes = 0;
  if (count < 0 || __builtin_mul_overflow(count, DtypeBytes(entry.dtype), &bytes) || entry.end - entry.begin != bytes) {
    return bad(absl::StrCat("data_offsets ", offsets.dump(), " are not the size of ", entry.dtype, " ", ShapeText(entry.shape)));
  }
  return entry;
}

class OpenFile {
 public:
  explicit OpenFile(int fd) : fd_(fd) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

// Reads `bytes` bytes at `offset` into `to`; fewer are an error.
float FromBrainFloat(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

// IEEE 754 binary16.
float FromHalf(uint16_t bits) {
  const int exponent = (bits >> 10) & 0x1f, fraction = bits & 0x3ff;
  float value;
  if (exponent == 0x1f) {
    value = fraction == 0 ? std::numeric_limits<float>::infinity() : std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    value = std::ldexp(static_cast<float>(fraction), -24);
  } else {
    value = std::ldexp(static_cast<float>(fraction + 0x400), exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

absl::Status ReadAt(const OpenFile& file, const std::string& path, int64_t offset, char* to, int64_t bytes) {
  while (bytes > 0) {
    const ssize_t count = ::pread(file.fd(), to, static_cast<size_t>(std::min(bytes, kPieceBytes)), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoError(path, "read", errno);
    if (count == 0) return absl::DataLossError(absl::StrCat(path, ": offset ", offset, ": the file ends here"));
    to += count;
    offset += count;
    bytes -= count;
  }
  return absl::OkStatus();
}

absl::StatusOr<SafetensorsHeader> ReadHeader(const OpenFile& file, const std::string& path) {
  const off_t size = ::lseek(file.fd(), 0, SEEK_END);
  if (size < 0) return ErrnoError(path, "seek", errno);
  std::string start(static_cast<size_t>(std::min<int64_t>(size, 8)), '\0');
  ISOFLOP_RETURN_IF_ERROR(ReadAt(file, path, 0, start.data(), static_cast<int64_t>(start.size())));
  if (start.size() == 8) {
    uint64_t length = 0;
    std::memcpy(&length, start.data(), 8);
    if (length <= static_cast<uint64_t>(kMaxHeaderBytes) && static_cast<int64_t>(length) <= size - 8) {
      start.resize(8 + length);
      ISOFLOP_RETURN_IF_ERROR(ReadAt(file, path, 8, start.data() + 8, static_cast<int64_t>(length)));
    }
  }
  auto header = ParseSafetensorsHeader(start, size);
  if (!header.ok()) return absl::Status(header.status().code(), absl::StrCat(path, ": ", std::string(header.status().message())));
  return header;
}

}  // namespace

std::string SafetensorsHeaderText(const std::vector<SafetensorsEntry>& entries,
                                  const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  for (const SafetensorsEntry& entry : entries) {
    header[entry.name] = {{"dtype", entry.dtype}, {"shape", entry.shape}, {"data_offsets", {entry.begin, entry.end}}};
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t length = text.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + text;
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view start, int64_t file_bytes) {
  if (file_bytes < 8 || start.size() < 8) {
    return Bad(0, absl::StrCat("a file of ", file_bytes, " bytes has no room for the length of its header"));
  }
  uint64_t length = 0;
  std::memcpy(&length, start.data(), 8);
  if (length > static_cast<uint64_t>(kMaxHeaderBytes) || static_cast<int64_t>(length) > file_bytes - 8 ||
      start.size() < 8 + length) {
    return Bad(0, absl::StrCat("the header is said to have ", length, " bytes, the file has ", file_bytes));
  }
  const absl::string_view text = start.substr(8, length);
  // A name that comes twice would be dropped without a word by the parser.
  std::set<std::string> names;
  std::string twice;
  const Json::parser_callback_t see_key = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::key && depth == 1) {
      const std::string name = parsed.get<std::string>();
      if (!names.insert(name).second) twice = name;
    }
    return true;
  };
  const Json json = Json::parse(text.begin(), text.end(), see_key, /*allow_exceptions=*/false);
  if (json.is_discarded() || !json.is_object()) return Bad(8, "the header is not a JSON object");
  if (!twice.empty()) return Bad(8, absl::StrCat("tensor '", twice, "' stands twice in the header"));

  SafetensorsHeader header;
  header.data_offset = 8 + static_cast<int64_t>(length);
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") {
      if (!value.is_object()) return Bad(8, "__metadata__ is not an object");
      for (const auto& [key, words] : value.items()) {
        if (!words.is_string()) return Bad(8, absl::StrCat("__metadata__ '", key, "' is not a string"));
        header.metadata[key] = words.get<std::string>();
      }
      continue;
    }
    ISOFLOP_ASSIGN_OR_RETURN(SafetensorsEntry entry, ParseEntry(name, value));
    header.entries.push_back(std::move(entry));
  }
  std::stable_sort(header.entries.begin(), header.entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  int64_t at = 0;
  for (const SafetensorsEntry& entry : header.entries) {
    if (entry.begin != at) {
      return Bad(header.data_offset + entry.begin, absl::StrCat("tensor '", entry.name, "' begins at byte ", entry.begin,
                                                                " of the data, the one before ends at ", at));
    }
    at = entry.end;
  }
  if (at != file_bytes - header.data_offset) {
    return Bad(file_bytes, absl::StrCat("the tensors have ", at, " bytes, the file has ", file_bytes - header.data_offset,
                                        " behind its header"));
  }
  return header;
}

absl::Status WriteSafetensors(const std::vector<FloatTensor>& tensors, const ByteSink& sink,
                              const std::map<std::string, std::string>& metadata) {
  std::vector<SafetensorsEntry> entries;
  int64_t at = 0;
  for (const FloatTensor& tensor : tensors) {
    const int64_t bytes = CountOf(tensor.shape) * static_cast<int64_t>(sizeof(float));
    entries.push_back({tensor.name, "F32", tensor.shape, at, at + bytes});
    at += bytes;
  }
  const std::string header = SafetensorsHeaderText(entries, metadata);
  ISOFLOP_RETURN_IF_ERROR(sink(header.data(), header.size()));
  for (size_t i = 0; i < tensors.size(); ++i) {
    const char* data = reinterpret_cast<const char*>(tensors[i].data);
    for (int64_t left = entries[i].end - entries[i].begin; left > 0;) {
      const int64_t piece = std::min(left, kPieceBytes);
      ISOFLOP_RETURN_IF_ERROR(sink(data, static_cast<size_t>(piece)));
      data += piece;
      left -= piece;
    }
  }
  return absl::OkStatus();
}

absl::Status ReadSafetensors(const std::string& path, const std::vector<FloatTarget>& targets) {
  const OpenFile file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd() < 0) return ErrnoError(path, "open", errno);
  ISOFLOP_ASSIGN_OR_RETURN(const SafetensorsHeader header, ReadHeader(file, path));
  std::map<std::string, const SafetensorsEntry*> entries;
  for (const SafetensorsEntry& entry : header.entries) entries[entry.name] = &entry;

  for (const FloatTarget& target : targets) {
    auto found = entries.find(target.name);
    if (found == entries.end()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": tensor '", target.name, "' ", ShapeText(target.shape), " is not there"));
    }
    const SafetensorsEntry& entry = *found->second;
    if (entry.dtype != "F32" || entry.shape != target.shape) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": tensor '", target.name, "' is ", entry.dtype, " ",
                                                     ShapeText(entry.shape), ", wanted F32 ", ShapeText(target.shape)));
    }
    ISOFLOP_RETURN_IF_ERROR(ReadAt(file, path, header.data_offset + entry.begin, reinterpret_cast<char*>(target.data),
                                   entry.end - entry.begin));
    entries.erase(found);
  }
  if (!entries.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": tensor '", entries.begin()->first, "' ",
                                                   ShapeText(entries.begin()->second->shape), " is one too many"));
  }
  return absl::OkStatus();
}

absl::StatusOr<SafetensorsHeader> ReadSafetensorsHeader(const std::string& path) {
  const OpenFile file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd() < 0) return ErrnoError(path, "open", errno);
  return ReadHeader(file, path);
}

absl::StatusOr<std::vector<float>> ReadAsFloats(const std::string& path, const std::string& name, const std::vector<int64_t>& shape) {
  const OpenFile file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd() < 0) return ErrnoError(path, "open", errno);
  ISOFLOP_ASSIGN_OR_RETURN(const SafetensorsHeader header, ReadHeader(file, path));
  const auto found = std::find_if(header.entries.begin(), header.entries.end(),
                                  [&](const SafetensorsEntry& entry) { return entry.name == name; });
  if (found == header.entries.end()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": tensor '", name, "' ", ShapeText(shape), " is not there"));
  }
  const bool known = found->dtype == "F32" || found->dtype == "BF16" || found->dtype == "F16";
  if (!known || found->shape != shape) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": tensor '", name, "' is ", found->dtype, " ", ShapeText(found->shape),
                                                   ", wanted F32, BF16 or F16 ", ShapeText(shape)));
  }
  std::vector<float> values(static_cast<size_t>(CountOf(shape)));
  if (found->dtype == "F32") {
    ISOFLOP_RETURN_IF_ERROR(ReadAt(file, path, header.data_offset + found->begin, reinterpret_cast<char*>(values.data()),
                                   found->end - found->begin));
    return values;
  }
  std::vector<uint16_t> halves(values.size());
  ISOFLOP_RETURN_IF_ERROR(ReadAt(file, path, header.data_offset + found->begin, reinterpret_cast<char*>(halves.data()),
                                 found->end - found->begin));
  const bool is_brain = found->dtype == "BF16";
  for (size_t i = 0; i < values.size(); ++i) values[i] = is_brain ? FromBrainFloat(halves[i]) : FromHalf(halves[i]);
  return values;
}

}  // namespace isoflop
