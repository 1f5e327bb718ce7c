// The safetensors format: u64 little-endian length of the header, the header (a
// JSON object {name: {dtype, shape, data_offsets}}, padded with spaces to a
// multiple of 8 bytes), then the raw data, each tensor at its offsets.
// https://github.com/huggingface/safetensors
//
// Little-endian machines; F32 data, but for ReadAsFloats; a reader says which tensor
// is of another type. No Torch here: a tensor is a pointer to contiguous floats.
#ifndef ISOFLOP_WORKER_TRAINER_SAFETENSORS_H_
#define ISOFLOP_WORKER_TRAINER_SAFETENSORS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace isoflop {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;           // "F32", "BF16", "I64", ...
  std::vector<int64_t> shape;  // {} is a scalar
  int64_t begin = 0;           // bytes from the start of the data
  int64_t end = 0;

  friend bool operator==(const SafetensorsEntry&, const SafetensorsEntry&) = default;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;         // rising by begin
  std::map<std::string, std::string> metadata;   // "__metadata__"
  int64_t data_offset = 0;                       // of the data in the file
};

// The length and the header that stand before the data of `entries`.
std::string SafetensorsHeaderText(const std::vector<SafetensorsEntry>& entries,
                                  const std::map<std::string, std::string>& metadata = {});

// Reads the header at the start of a file of `file_bytes` bytes; `start` is at
// least its first min(file_bytes, 8 + header) bytes. DataLoss, each with the
// offset and what is wrong: a file shorter than its header says, a header that
// is no such JSON, offsets that do not follow one another, that overlap, or that
// are not the size of their shape, and data beyond the last tensor.
absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(absl::string_view start, int64_t file_bytes);

// A named tensor of floats in memory; `data` holds as many as `shape` says.
struct FloatTensor {
  std::string name;
  std::vector<int64_t> shape;
  const float* data = nullptr;
};

// Takes the next bytes of a file.
using ByteSink = std::function<absl::Status(const void* data, size_t bytes)>;

// Sends the file of `tensors`, in their order, to `sink` in pieces; its first
// bad status ends it and is returned.
absl::Status WriteSafetensors(const std::vector<FloatTensor>& tensors, const ByteSink& sink,
                              const std::map<std::string, std::string>& metadata = {});

// A place to read a tensor into.
struct FloatTarget {
  std::string name;
  std::vector<int64_t> shape;
  float* data = nullptr;
};

// Fills `targets` from the file `path`, which must hold just these names, as
// F32 of these shapes, in any order. NotFound, DataLoss and InvalidArgument
// (another set of tensors) name the file, the tensor and both shapes.
absl::Status ReadSafetensors(const std::string& path, const std::vector<FloatTarget>& targets);

// The header of the file `path`. NotFound, DataLoss: as above.
absl::StatusOr<SafetensorsHeader> ReadSafetensorsHeader(const std::string& path);

// The tensor `name` of the file as fp32, which holds BF16 and F16 exactly. The errors
// of ReadSafetensors; InvalidArgument: another type, or another shape than `shape`.
absl::StatusOr<std::vector<float>> ReadAsFloats(const std::string& path, const std::string& name, const std::vector<int64_t>& shape);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_SAFETENSORS_H_
