// The screen of a person: width, colour, questions, redraw in place.
//
// Without a terminal there is no question, colour, redraw or truncation; colour
// is never the only sign.
#ifndef ISOFLOP_TOOLS_ISOFLOP_TERMINAL_H_
#define ISOFLOP_TOOLS_ISOFLOP_TERMINAL_H_

#include <string>
#include <vector>

namespace isoflop {

bool StdoutIsTerminal();
bool StdinIsTerminal();
// Colour on stdout: a terminal, NO_COLOR not set, TERM not "dumb".
bool UseColor();
// Live redraw on stdout: a terminal and not CI.
bool UseRedraw();
// Columns of the terminal, 80 when unknown; 0 without a terminal (no cut).
int TerminalWidth();

std::string Bold(const std::string& text);
std::string Dim(const std::string& text);
std::string Green(const std::string& text);
std::string Red(const std::string& text);
std::string Yellow(const std::string& text);

// Asks on the terminal; an empty answer is `default_yes`. Without a terminal
// returns false and sets `*asked` to false: the caller demands -y.
bool AskYesNo(const std::string& question, bool default_yes, bool* asked);

// Redraws a block of lines in place, at most ten times a second; finished lines
// scroll up above it. Restores the cursor when destroyed.
//
// Not thread-safe.
class LiveBlock {
 public:
  LiveBlock();
  ~LiveBlock();
  LiveBlock(const LiveBlock&) = delete;
  LiveBlock& operator=(const LiveBlock&) = delete;

  // Prints `line` above the block, for good.
  void Scroll(const std::string& line);
  // Draws the block anew, cut to the width.
  void Draw(const std::vector<std::string>& lines);
  // Removes the block.
  void Clear();

 private:
  int drawn_ = 0;
};

// "[####----------]" with `share` of `width` places filled.
std::string ProgressBar(double share, int width);

// `text` cut to `width` columns (bytes of UTF-8 sequences count once; escape
// sequences not at all).
std::string CutToWidth(const std::string& text, int width);

// Rows under a header, columns aligned: text left, numbers right. No trailing
// blanks.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header);
  void AddRow(std::vector<std::string> row);
  size_t rows() const { return rows_.size(); }
  std::string ToString() const;
  std::string ToMarkdown() const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace isoflop

#endif  // ISOFLOP_TOOLS_ISOFLOP_TERMINAL_H_
