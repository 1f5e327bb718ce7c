// Numbers as a person reads them on a screen: two or three digits. JSON and CSV
// never go through here.
#ifndef ISOFLOP_STUDY_FORMAT_H_
#define ISOFLOP_STUDY_FORMAT_H_

#include <cstdint>
#include <string>

namespace isoflop {

// Parameters, steps and other counts: "812", "7.2K", "40.1K", "136K", "2.79B",
// "110M", "1.2T". One decimal for K, two below ten of a larger unit.
std::string FormatCount(double count);

// Tokens, in the unit of which there is at least a tenth: "512", "65.5K",
// "0.21M", "3.62M", "0.40M", "7.02B".
std::string FormatTokens(double tokens);

// A rate a second, three digits: "91.2K", "125K", "1.7M".
std::string FormatRate(double per_second);

// Training FLOPs, three digits: "5e10", "1.14e11", "9.23e12"; "0" is "0".
std::string FormatFlops(double flops);

// D/N: "5.2", "10", "253".
std::string FormatRatio(double ratio);

// A span of time: "0.4s", "6s", "1m14s", "2h05m", "3d04h".
std::string FormatSeconds(double seconds);

// A loss in nats, four digits: "1.878", "10.82". Not finite: "-".
std::string FormatLoss(double loss_nats);

// "12 B", "1.5 MB", "80 GB" (powers of 1000).
std::string FormatBytes(double bytes);

// "1 cell", "2 cells".
std::string Plural(int64_t count, const std::string& noun);

// `value` with `digits` significant digits, no exponent, no trailing zeros cut:
// (1.8374, 4) is "1.837".
std::string FormatSignificant(double value, int digits);

// The shortest text that reads back as exactly `value`; whole numbers below
// 1e15 without a point or exponent. What JSON and resolved YAML hold.
std::string ExactNumber(double value);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_FORMAT_H_
