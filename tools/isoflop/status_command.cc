// isoflop status: where a study stands; -w: again and again until it has ended.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "study/status_macros.h"
#include "study/study_yaml.h"
#include "tools/isoflop/commands.h"
#include "tools/isoflop/interrupts.h"
#include "tools/isoflop/status_table.h"
#include "tools/isoflop/study_source.h"
#include "tools/isoflop/terminal.h"

namespace isoflop {
namespace {

constexpr absl::Duration kLookEvery = absl::Seconds(1);

struct StatusFlags {
  std::string study;
  bool watch = false;
  bool trials = false;
  bool workers = false;
  bool failed = false;
};

// The law of the observations so far; made anew only when there are more.
class LawSoFar {
 public:
  explicit LawSoFar(const StudySpec& spec) {
    options_.spec = spec.analysis;
    options_.count = spec.grid.count;
    options_.flops = spec.grid.flops;
  }

  const std::optional<LiveFit>& Of(const StudyView& view) {
    const int completed = view.study.trials().completed();
    if (completed != completed_) {
      completed_ = completed;
      fit_ = FitLive(view.trials, options_);
    }
    return fit_;
  }

 private:
  AnalysisOptions options_;
  int completed_ = -1;
  std::optional<LiveFit> fit_;
};

bool HasEnded(const wire::Study& study) {
  const wire::StateCounts& counts = study.trials();
  return counts.blocked() + counts.queued() + counts.leased() == 0;
}

absl::StatusOr<int> ShowWorkers(Context& context) {
  ISOFLOP_ASSIGN_OR_RETURN(const auto client, ConnectToServer(context.environment));
  ISOFLOP_ASSIGN_OR_RETURN(const wire::WorkerList workers, client->ListWorkers({}));
  if (context.flags.json) {
    std::printf("%s\n", WorkersJson(workers).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
  } else {
    for (const std::string& line : WorkerLines(workers)) std::printf("%s\n", line.c_str());
  }
  return kExitOk;
}

absl::StatusOr<int> RunStatus(const StatusFlags& flags, Context& context) {
  if (flags.workers) return ShowWorkers(context);
  ISOFLOP_ASSIGN_OR_RETURN(const std::string name, StudyNameOf(flags.study));
  ISOFLOP_ASSIGN_OR_RETURN(StudyView view, FindStudyView(context.environment, name));
  StatusOptions options;
  options.rows = flags.trials ? StatusRows::kAll : flags.failed ? StatusRows::kFailed : StatusRows::kWhatMatters;
  // An imported study has no YAML, and no law so far either.
  std::optional<LawSoFar> law;
  if (const auto spec = ParseStudyYaml(view.study.resolved_yaml(), view.study.name()); spec.ok()) {
    options.count = spec->grid.count;
    law.emplace(*spec);
  }
  const auto fit_of = [&](const StudyView& of) { return law ? law->Of(of) : std::nullopt; };
  if (context.flags.json && !flags.watch) {
    std::printf("%s\n", StatusJson(view, fit_of(view), options, absl::Now())
                            .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
    return kExitOk;
  }
  const auto lines_of = [&](const StudyView& of) {
    std::vector<std::string> lines = {StatusHeadline(of, fit_of(of), absl::Now())};
    if (context.flags.quiet) return lines;
    if (!of.is_live && !HasEnded(of.study)) {
      lines.push_back(absl::StrCat(" no coordinator listens; this is what ", context.environment.db, " holds"));
    }
    for (std::string& line : StatusLines(of, fit_of(of), options)) lines.push_back(std::move(line));
    return lines;
  };
  if (!flags.watch) {
    for (const std::string& line : lines_of(view)) std::printf("%s\n", line.c_str());
    return kExitOk;
  }
  Interrupts interrupts;
  LiveBlock block;
  const bool redraws = UseRedraw() && !context.flags.json;
  std::string last;
  const std::string study = view.study.name();
  while (true) {
    if (context.flags.json) {
      std::printf("%s\n", StatusJson(view, fit_of(view), options, absl::Now())
                              .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).c_str());
      std::fflush(stdout);
    } else if (redraws) {
      block.Draw(lines_of(view));
    } else if (std::string line = StatusHeadline(view, fit_of(view), absl::Now()); line != last) {
      // A line a change.
      std::printf("%s\n", line.c_str());
      std::fflush(stdout);
      last = std::move(line);
    }
    if (HasEnded(view.study)) break;
    if (interrupts.WaitBeyond(0, kLookEvery) > 0) return kExitInterrupted;
    absl::StatusOr<StudyView> next = FindStudyView(context.environment, study);
    // A coordinator that restarts is soon back.
    if (next.ok()) {
      view = *std::move(next);
    } else if (!absl::IsUnavailable(next.status())) {
      return next.status();
    }
  }
  return view.study.trials().failed() > 0 ? kExitInPart : kExitOk;
}

}  // namespace

CommandBody AddStatusCommand(CLI::App& app) {
  auto flags = std::make_shared<StatusFlags>();
  app.add_option("study", flags->study, "name or YAML; default: the newest")->type_name("STUDY");
  app.add_flag("-w,--watch", flags->watch, "again every second until it has ended; Ctrl-C leaves");
  auto* trials = app.add_flag("--trials", flags->trials, "every trial");
  auto* failed = app.add_flag("--failed", flags->failed, "failed, diverged and cancelled trials");
  auto* workers = app.add_flag("--workers", flags->workers, "the workers instead");
  trials->excludes(failed)->excludes(workers);
  failed->excludes(workers);
  return [flags](Context& context) { return RunStatus(*flags, context); };
}

}  // namespace isoflop
