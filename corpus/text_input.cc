#include "corpus/text_input.h"

#include <lzma.h>
#include <zlib.h>

#include <cerrno>
#include <cstdio>
#include <vector>

#include "absl/strings/str_cat.h"
#include "corpus/early_return.h"
#include "corpus/file_access.h"
#include "corpus/sha256.h"

namespace isoflop {
namespace {

constexpr std::size_t kPieceBytes = 256 * 1024;

// What one call of an unpacker did.
struct Step {
  std::size_t taken = 0;  // of the packed bytes
  std::size_t given = 0;  // of the text
  bool ended = false;     // the last packed byte belongs to a whole stream
  std::string fault;      // empty: none
};

// Unpacks pieces of a stream. `last`: no packed byte follows these.
class Unpacker {
 public:
  virtual ~Unpacker() = default;
  virtual Step Unpack(const char* packed, std::size_t packed_bytes, bool last, char* text,
                      std::size_t text_bytes) = 0;
};

class GzipUnpacker : public Unpacker {
 public:
  GzipUnpacker() { inflateInit2(&stream_, 15 + 16); }
  ~GzipUnpacker() override { inflateEnd(&stream_); }

  Step Unpack(const char* packed, std::size_t packed_bytes, bool, char* text,
              std::size_t text_bytes) override {
    Step step;
    if (at_member_end_) {
      if (packed_bytes == 0) {
        step.ended = true;
        return step;
      }
      inflateReset(&stream_);  // the next member
      at_member_end_ = false;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed));
    stream_.avail_in = static_cast<uInt>(packed_bytes);
    stream_.next_out = reinterpret_cast<Bytef*>(text);
    stream_.avail_out = static_cast<uInt>(text_bytes);
    const int code = inflate(&stream_, Z_NO_FLUSH);
    step.taken = packed_bytes - stream_.avail_in;
    step.given = text_bytes - stream_.avail_out;
    if (code == Z_STREAM_END) {
      at_member_end_ = true;
    } else if (code != Z_OK && code != Z_BUF_ERROR) {
      step.fault = stream_.msg != nullptr ? stream_.msg : absl::StrCat("zlib error ", code);
    }
    return step;
  }

 private:
  z_stream stream_{};
  bool at_member_end_ = false;
};

class XzUnpacker : public Unpacker {
 public:
  XzUnpacker() { started_ = lzma_stream_decoder(&stream_, UINT64_MAX, LZMA_CONCATENATED); }
  ~XzUnpacker() override { lzma_end(&stream_); }

  Step Unpack(const char* packed, std::size_t packed_bytes, bool last, char* text,
              std::size_t text_bytes) override {
    Step step;
    if (started_ != LZMA_OK) {
      step.fault = "no memory for liblzma";
      return step;
    }
    stream_.next_in = reinterpret_cast<const std::uint8_t*>(packed);
    stream_.avail_in = packed_bytes;
    stream_.next_out = reinterpret_cast<std::uint8_t*>(text);
    stream_.avail_out = text_bytes;
    const lzma_ret code = lzma_code(&stream_, last ? LZMA_FINISH : LZMA_RUN);
    step.taken = packed_bytes - stream_.avail_in;
    step.given = text_bytes - stream_.avail_out;
    if (code == LZMA_STREAM_END) {
      step.ended = true;
    } else if (code == LZMA_DATA_ERROR) {
      step.fault = "the data are corrupt";
    } else if (code == LZMA_FORMAT_ERROR) {
      step.fault = "bytes that are not xz";
    } else if (code != LZMA_OK && code != LZMA_BUF_ERROR) {
      step.fault = absl::StrCat("liblzma error ", static_cast<int>(code));
    }
    return step;
  }

 private:
  lzma_stream stream_ = LZMA_STREAM_INIT;
  lzma_ret started_;
};

}  // namespace

struct TextInput::State {
  ~State() {
    if (file != nullptr) std::fclose(file);
  }

  std::string path;
  std::FILE* file = nullptr;
  std::unique_ptr<Unpacker> unpacker;  // null: plain text
  Sha256 hash;
  std::vector<char> packed = std::vector<char>(kPieceBytes);
  std::size_t packed_begin = 0;
  std::size_t packed_end = 0;
  std::int64_t packed_bytes = 0;
  bool file_ended = false;
  bool text_ended = false;

  // Reads the next piece of the file once the last one is used up.
  absl::Status Refill() {
    if (packed_begin < packed_end || file_ended) return absl::OkStatus();
    packed_begin = 0;
    packed_end = std::fread(packed.data(), 1, packed.size(), file);
    if (std::ferror(file) != 0) return ErrnoError(path, "cannot be read", errno);
    file_ended = packed_end < packed.size();
    packed_bytes += static_cast<std::int64_t>(packed_end);
    hash.Update(packed.data(), packed_end);
    return absl::OkStatus();
  }

  std::int64_t Offset() const {
    return packed_bytes - static_cast<std::int64_t>(packed_end - packed_begin);
  }
};

TextInput::TextInput(std::unique_ptr<State> state) : state_(std::move(state)) {}
TextInput::TextInput(TextInput&&) noexcept = default;
TextInput& TextInput::operator=(TextInput&&) noexcept = default;
TextInput::~TextInput() = default;

absl::StatusOr<TextInput> TextInput::Open(const std::string& path, Compression compression) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->file = std::fopen(path.c_str(), "rb");
  if (state->file == nullptr) return ErrnoError(path, "cannot be opened", errno);
  if (compression == Compression::kGzip) state->unpacker = std::make_unique<GzipUnpacker>();
  if (compression == Compression::kXz) state->unpacker = std::make_unique<XzUnpacker>();
  return TextInput(std::move(state));
}

absl::StatusOr<bool> TextInput::ReadMore(std::string* text) {
  State& state = *state_;
  if (state.text_ended) return false;
  if (state.unpacker == nullptr) {
    ISOFLOP_CORPUS_RETURN_IF_ERROR(state.Refill());
    text->append(state.packed.data() + state.packed_begin, state.packed_end - state.packed_begin);
    const bool gave = state.packed_end > state.packed_begin;
    state.packed_begin = state.packed_end;
    state.text_ended = !gave;
    return gave;
  }
  const std::size_t old_size = text->size();
  text->resize(old_size + kPieceBytes);
  std::size_t given = 0;
  while (given == 0 && !state.text_ended) {
    if (const absl::Status status = state.Refill(); !status.ok()) {
      text->resize(old_size);
      return status;
    }
    const std::size_t packed = state.packed_end - state.packed_begin;
    const Step step = state.unpacker->Unpack(state.packed.data() + state.packed_begin, packed,
                                             state.file_ended, text->data() + old_size,
                                             kPieceBytes);
    state.packed_begin += step.taken;
    given = step.given;
    state.text_ended = step.ended;
    std::string fault = step.fault;
    const bool stuck = step.taken == 0 && step.given == 0 && !step.ended;
    if (fault.empty() && stuck && state.file_ended && state.packed_begin == state.packed_end) {
      fault = "the packed file ends too soon";
    }
    if (!fault.empty()) {
      text->resize(old_size);
      return BadDataError(absl::StatusCode::kDataLoss, state.path, state.Offset(), fault,
                          "copy the file again");
    }
  }
  text->resize(old_size + given);
  return given > 0;
}

std::int64_t TextInput::packed_bytes() const { return state_->packed_bytes; }

std::string TextInput::FileSha256() { return ToHex(state_->hash.Finish()); }

}  // namespace isoflop
