// What one does with a trained model, as subcommands of isoflop-trainer: perplexity,
// generate, attention, logits, checkpoint-export, checkpoint-import. docs/text_tools.md.
#ifndef ISOFLOP_WORKER_TRAINER_TEXT_TOOLS_H_
#define ISOFLOP_WORKER_TRAINER_TEXT_TOOLS_H_

#include <string>

namespace isoflop {

// Is `word` one of the subcommands?
bool IsTextTool(const std::string& word);

// Runs the subcommand argv[1]. 0 done, 1 failed, 2 a wrong command line, text or shape,
// 3 no such file; the error goes to standard error, with --json as one object.
int TextToolMain(int argc, char** argv);

}  // namespace isoflop

#endif  // ISOFLOP_WORKER_TRAINER_TEXT_TOOLS_H_
