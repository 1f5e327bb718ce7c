#include "worker/trainer/event_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "study/status_macros.h"
#include "study/trial_outcome.h"

namespace isoflop {
namespace {

// The length of the UTF-8 sequence at text[at], 0 if there is none (RFC 3629:
// no overlong forms, no surrogates, nothing above U+10FFFF).
size_t Utf8Length(const std::string& text, size_t at) {
  auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  auto follows = [&](size_t i, unsigned low = 0x80, unsigned high = 0xBF) { return byte(i) >= low && byte(i) <= high; };
  const unsigned first = byte(at);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(at + 1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned low = first == 0xE0 ? 0xA0 : 0x80;
    const unsigned high = first == 0xED ? 0x9F : 0xBF;
    return follows(at + 1, low, high) && follows(at + 2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const unsigned low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned high = first == 0xF4 ? 0x8F : 0xBF;
    return follows(at + 1, low, high) && follows(at + 2) && follows(at + 3) ? 4 : 0;
  }
  return 0;
}

std::string JsonString(const std::string& text) {
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const size_t length = Utf8Length(text, at);
    if (length == 0) {
      out += "\xEF\xBF\xBD";  // U+FFFD
      ++at;
      continue;
    }
    const char c = text[at];
    if (length > 1) {
      out.append(text, at, length);
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      std::array<char, 8> escape;
      std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(c));
      out += escape.data();
    } else {
      out += c;
    }
    at += length;
  }
  return out + "\"";
}

// `text`, cut so that as JSON it takes at most `bytes`.
std::string Cut(const std::string& text, size_t bytes) {
  if (JsonString(text).size() <= bytes) return text;
  // Six bytes is the longest a byte of text can become.
  return text.substr(0, bytes / 6) + " [cut]";
}

void EndProcess(const std::string& why) {
  std::fprintf(stderr, "isoflop-trainer: %s\n", why.c_str());
  // At once: no thread of this process has anyone left to report to.
  _exit(kExitTransient);
}

}  // namespace

TrainerEvent::TrainerEvent(const std::string& name) : name_(name), body_("{\"event\":" + JsonString(name)) {}

void TrainerEvent::AddKey(const std::string& field) { absl::StrAppend(&body_, ",", JsonString(field), ":"); }

TrainerEvent& TrainerEvent::Add(const std::string& field, double value) {
  AddKey(field);
  if (!std::isfinite(value)) {
    body_ += "null";
    return *this;
  }
  std::array<char, 32> digits;  // the shortest that reads back as the same double
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  body_.append(digits.data(), end);
  return *this;
}

TrainerEvent& TrainerEvent::Add(const std::string& field, bool value) {
  AddKey(field);
  body_ += value ? "true" : "false";
  return *this;
}

TrainerEvent& TrainerEvent::Add(const std::string& field, const std::string& text) {
  AddKey(field);
  body_ += JsonString(text);
  return *this;
}

TrainerEvent& TrainerEvent::AddInteger(const std::string& field, int64_t value) {
  AddKey(field);
  absl::StrAppend(&body_, value);
  return *this;
}

EventWriter::EventWriter(EventWriterOptions options) : options_(std::move(options)), fd_(STDOUT_FILENO) {
  if (!options_.on_lost) options_.on_lost = EndProcess;
  if (!options_.fd) return;
  if (fcntl(*options_.fd, F_GETFD) >= 0) {
    fd_ = *options_.fd;
  } else {
    prefix_ = "ISOFLOP ";
  }
}

void EventWriter::Write(const TrainerEvent& event) {
  if (options_.rank != 0 && event.name() != "error") return;
  const std::string json = event.Json();
  if (prefix_.size() + json.size() + 1 > kMaxLineBytes) {
    Error("bug", absl::StrCat("an event line '", event.name(), "' of ", json.size(), " bytes was left out: the contract allows ",
                              kMaxLineBytes));
    return;
  }
  WriteLine(json);
}

void EventWriter::Note(const std::string& text) {
  Write(TrainerEvent("note").Add("text", Cut(text, kMaxLineBytes - 256)));
}

void EventWriter::Error(const std::string& kind, const std::string& message, std::optional<int64_t> step) {
  Write(TrainerEvent("error")
            .Add("kind", kind)
            .Add("message", Cut(message, kMaxLineBytes - 512))
            .Add("step", step)
            .Add("rank", options_.rank));
}

void EventWriter::WriteLine(const std::string& json) {
  const std::string line = prefix_ + json + "\n";
  std::unique_lock<std::mutex> lock(mu_);
  if (lost_) return;
  for (size_t written = 0; written < line.size();) {
    const ssize_t count = ::write(fd_, line.data() + written, line.size() - written);
    if (count >= 0) {
      written += static_cast<size_t>(count);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      pollfd ready{fd_, POLLOUT, 0};
      ::poll(&ready, 1, -1);
      continue;
    }
    lost_ = true;
    const std::string why =
        errno == EPIPE ? std::string("nobody reads the event lines any more (the agent has ended): this rank ends with it")
                       : absl::StrCat("cannot write event lines: ", std::strerror(errno),
                                      "\ncure: give standard output or ISOFLOP_EVENTS_FD a reader, or room on its disk");
    lock.unlock();
    options_.on_lost(why);
    return;
  }
}

}  // namespace isoflop
