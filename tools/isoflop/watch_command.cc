// isoflop watch: a line a change, to the study's end.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "study/status_macros.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/event_text.h"
#include "tools/isoflop/status_table.h"
#include "tools/isoflop/study_source.h"

namespace isoflop {
namespace {

constexpr absl::Duration kRestartPatience = absl::Seconds(60);
constexpr absl::Duration kRetryEvery = absl::Milliseconds(500);

struct WatchFlags {
  std::string study;
  bool history = false;
};

bool HasEnded(const wire::Study& study) {
  const wire::StateCounts& counts = study.trials();
  return counts.blocked() + counts.queued() + counts.leased() == 0;
}

absl::StatusOr<int> RunWatch(const WatchFlags& flags, Context& context) {
  ISOFLOP_ASSIGN_OR_RETURN(std::string name, StudyNameOf(flags.study));
  // Nothing changes without a coordinator, so the store is no answer here.
  ISOFLOP_ASSIGN_OR_RETURN(auto client, ConnectToServer(context.environment));
  wire::StudyRef ref;
  ref.set_name(name);
  ISOFLOP_ASSIGN_OR_RETURN(wire::Study study, client->GetStudy(ref));
  name = study.name();
  ref.set_name(name);
  if (!context.flags.json && !context.flags.quiet) {
    std::printf("%s  %s  %d/%d observations\n", name.c_str(), study.state().c_str(), study.observations_done(),
                study.observations_total());
    std::fflush(stdout);
  }
  int64_t last = flags.history ? 0 : study.last_event_id();
  bool has_ended = HasEnded(study) && !flags.history;
  absl::Time heard = absl::Now();
  while (!has_ended) {
    wire::WatchRequest request;
    request.set_study_name(name);
    request.set_after_event_id(last);
    request.set_follow(!HasEnded(study));
    const absl::Status status = client->Watch(request, [&](const wire::Event& event) {
      last = event.id();
      heard = absl::Now();
      if (context.flags.json) {
        std::printf("%s\n", EventJson(event).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
      } else {
        std::printf("%s %s\n", EventTime(event).c_str(), EventText(event, true).c_str());
      }
      std::fflush(stdout);
      has_ended = event.kind() == "study_done" || (event.kind() == "cancelled" && event.trial_id() == 0);
      return !has_ended;
    });
    if (has_ended) break;
    if (!status.ok() && !absl::IsUnavailable(status) && !absl::IsCancelled(status)) return status;
    if (status.ok() && HasEnded(study)) break;
    if (absl::Now() - heard > kRestartPatience) {
      ISOFLOP_RETURN_IF_ERROR(client->GetStudy(ref).status());
      heard = absl::Now();
    }
    absl::SleepFor(kRetryEvery);
    if (const auto again = client->GetStudy(ref); again.ok()) study = *again;
  }
  ISOFLOP_ASSIGN_OR_RETURN(study, client->GetStudy(ref));
  return study.trials().failed() > 0 ? kExitInPart : kExitOk;
}

}  // namespace

CommandBody AddWatchCommand(CLI::App& app) {
  auto flags = std::make_shared<WatchFlags>();
  app.add_option("study", flags->study, "name or YAML; default: the newest")->type_name("STUDY");
  app.add_flag("--history", flags->history, "from its beginning");
  return [flags](Context& context) { return RunWatch(*flags, context); };
}

}  // namespace isoflop
