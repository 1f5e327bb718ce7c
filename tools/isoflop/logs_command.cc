// isoflop logs: what a trainer printed.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "proto/convert.h"
#include "store/result_store.h"
#include "study/status_macros.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/study_source.h"

namespace isoflop {
namespace {

struct LogsFlags {
  std::string target;
  bool follow = false;
  int lines = 100;
  int attempt = 0;
};

// The last `lines` lines of `text`.
std::string Tail(const std::string& text, int lines) {
  size_t at = text.size();
  if (at > 0 && text[at - 1] == '\n') --at;
  for (int left = lines; at > 0; --at) {
    if (text[at - 1] == '\n' && --left == 0) break;
  }
  return text.substr(at);
}

void Print(const Context& context, int64_t trial, const std::string& text) {
  if (text.empty()) return;
  if (context.flags.json) {
    const nlohmann::json object = {{"schema", "isoflop.logs/1"}, {"trial", trial}, {"text", text}};
    std::printf("%s\n", object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  } else {
    std::fwrite(text.data(), 1, text.size(), stdout);
  }
  std::fflush(stdout);
}

// A number is a trial; else a worker, and what it trains now.
absl::StatusOr<int64_t> TrialOf(const std::string& target, StudyAdminClient& client) {
  int64_t trial = 0;
  if (absl::SimpleAtoi(target, &trial)) return trial;
  wire::WorkerFilter filter;
  filter.set_name(target);
  ISOFLOP_ASSIGN_OR_RETURN(const wire::WorkerList workers, client.ListWorkers(filter));
  if (workers.workers().empty()) {
    return absl::NotFoundError(absl::StrCat("no worker '", target, "'\ncure: isoflop status --workers, or the number of a trial"));
  }
  if (workers.workers(0).trial_ids().empty()) {
    return absl::NotFoundError(absl::StrCat("worker ", target, ": trains nothing now\ncure: isoflop explain ", target));
  }
  return workers.workers(0).trial_ids(0);
}

absl::StatusOr<int> RunLogs(const LogsFlags& flags, Context& context) {
  ISOFLOP_ASSIGN_OR_RETURN(const auto client, ConnectToServer(context.environment));
  absl::StatusOr<int64_t> trial = TrialOf(flags.target, *client);
  ISOFLOP_RETURN_IF_ERROR(trial.status());
  wire::LogRequest request;
  request.set_trial_id(*trial);
  request.set_attempt(flags.attempt);
  request.set_follow(flags.follow);
  request.set_tail_bytes(kMaxLogChunkBytes);
  std::string first;
  bool is_first = true;
  const absl::Status status = client->ReadLog(request, [&](const wire::LogChunk& chunk) {
    // The first piece is the end of what there is: so many lines of it.
    Print(context, *trial, is_first ? Tail(chunk.text(), flags.lines) : chunk.text());
    is_first = false;
    return true;
  });
  if (MayReadStore(context.environment, status)) {
    ISOFLOP_ASSIGN_OR_RETURN(const auto store, ResultStore::Open(context.environment.db));
    ISOFLOP_ASSIGN_OR_RETURN(const std::string text, store->LogTail(TrialId(*trial), flags.attempt));
    Print(context, *trial, Tail(text, flags.lines));
    return kExitOk;
  }
  ISOFLOP_RETURN_IF_ERROR(status);
  return kExitOk;
}

}  // namespace

CommandBody AddLogsCommand(CLI::App& app) {
  auto flags = std::make_shared<LogsFlags>();
  app.add_option("target", flags->target, "a trial's number, or a worker: what it trains now")
      ->type_name("TRIAL|WORKER")->required();
  app.add_flag("-f,--follow", flags->follow, "until the attempt ends");
  app.add_option("-n,--lines", flags->lines, "lines of what there is; default 100")->type_name("N")->check(CLI::Range(0, 1000000));
  app.add_option("--attempt", flags->attempt, "default: the newest")->type_name("K")->check(CLI::Range(1, 1000000));
  return [flags](Context& context) { return RunLogs(*flags, context); };
}

}  // namespace isoflop
