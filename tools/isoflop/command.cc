#include "tools/isoflop/command.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tools/isoflop/terminal.h"

namespace isoflop {

namespace {

// Some rooms write "...; cure: ..." in one line: the cure gets its own.
std::string MessageOf(const absl::Status& status) {
  return absl::StrReplaceAll(status.message(), {{"; cure: ", "\ncure: "}});
}

}  // namespace

ErrorParts SplitError(const absl::Status& status) {
  ErrorParts parts;
  const std::string message = MessageOf(status);
  parts.code = absl::AsciiStrToLower(absl::StatusCodeToString(status.code()));
  std::vector<std::string> kept;
  for (const absl::string_view line : absl::StrSplit(message, '\n')) {
    absl::string_view rest = line;
    if (absl::ConsumePrefix(&rest, "cure: ")) {
      if (!parts.cure.empty()) parts.cure += "; ";
      parts.cure += std::string(rest);
    } else {
      kept.emplace_back(line);
    }
  }
  if (!kept.empty()) {
    // "study.yaml:14:5: what": the place ends at the first ": ".
    const size_t colon = kept[0].find(": ");
    if (colon != std::string::npos) {
      parts.where = kept[0].substr(0, colon);
      kept[0] = kept[0].substr(colon + 2);
    }
  }
  for (size_t i = 0; i < kept.size(); ++i) absl::StrAppend(&parts.message, i == 0 ? "" : "\n", kept[i]);
  return parts;
}

int ExitCodeFor(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk: return kExitOk;
    case absl::StatusCode::kInvalidArgument: return kExitUsage;
    case absl::StatusCode::kNotFound: return kExitNotFound;
    case absl::StatusCode::kUnavailable: return kExitNoCoordinator;
    case absl::StatusCode::kCancelled: return kExitInterrupted;
    default: return kExitFailed;
  }
}

void PrintError(const absl::Status& status, bool json) {
  if (json) {
    const ErrorParts parts = SplitError(status);
    const nlohmann::json object = {{"error",
                                    {{"code", parts.code},
                                     {"where", parts.where},
                                     {"message", parts.message},
                                     {"cure", parts.cure}}}};
    std::fprintf(stderr, "%s\n", object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return;
  }
  std::fprintf(stderr, "%s\n", MessageOf(status).c_str());
}

}  // namespace isoflop
