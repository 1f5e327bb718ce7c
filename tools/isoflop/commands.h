// One function a command: puts the command's flags on `app` and returns its body.
// Each stands in tools/isoflop/<name>_command.cc; commands.cc has the table.
#ifndef ISOFLOP_TOOLS_ISOFLOP_COMMANDS_H_
#define ISOFLOP_TOOLS_ISOFLOP_COMMANDS_H_

#include "tools/isoflop/command.h"

namespace isoflop {

// (declarations in the order of `isoflop --help`)
CommandBody AddPlanCommand(CLI::App& app);
CommandBody AddDataCommand(CLI::App& app);
CommandBody AddRunCommand(CLI::App& app);
CommandBody AddCompletionCommand(CLI::App& app);
CommandBody AddSubmitCommand(CLI::App& app);
CommandBody AddStatusCommand(CLI::App& app);
CommandBody AddWatchCommand(CLI::App& app);
CommandBody AddLogsCommand(CLI::App& app);
CommandBody AddExplainCommand(CLI::App& app);
CommandBody AddPauseCommand(CLI::App& app);
CommandBody AddResumeCommand(CLI::App& app);
CommandBody AddCancelCommand(CLI::App& app);
CommandBody AddRetryCommand(CLI::App& app);
CommandBody AddCoordinatorCommand(CLI::App& app);
CommandBody AddWorkerCommand(CLI::App& app);
CommandBody AddFitCommand(CLI::App& app);
CommandBody AddPredictCommand(CLI::App& app);
CommandBody AddCompareCommand(CLI::App& app);
CommandBody AddExtendCommand(CLI::App& app);
CommandBody AddReportCommand(CLI::App& app);
CommandBody AddQueryCommand(CLI::App& app);
CommandBody AddExportCommand(CLI::App& app);
CommandBody AddImportCommand(CLI::App& app);
CommandBody AddPerplexityCommand(CLI::App& app);
CommandBody AddGenerateCommand(CLI::App& app);
CommandBody AddAttentionCommand(CLI::App& app);
CommandBody AddCheckpointCommand(CLI::App& app);
CommandBody AddDoctorCommand(CLI::App& app);

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_COMMANDS_H_
