#include "study/format.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace isoflop {
namespace {

// The examples are those of the golden screens.
TEST(FormatTest, CountsAsTheScreensShowThem) {
  EXPECT_EQ(FormatCount(7184), "7.2K");
  EXPECT_EQ(FormatCount(13200), "13.2K");
  EXPECT_EQ(FormatCount(136320), "136K");
  EXPECT_EQ(FormatCount(2.791737454e9), "2.79B");
  EXPECT_EQ(FormatCount(110e6), "110M");
  EXPECT_EQ(FormatCount(5000), "5.0K");
  EXPECT_EQ(FormatCount(812), "812");
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999600), "1.00M") << "never 1000K";
  EXPECT_EQ(FormatCount(std::numeric_limits<double>::quiet_NaN()), "-");
}

TEST(FormatTest, TokensInTheUnitOfWhichThereIsATenth) {
  EXPECT_EQ(FormatTokens(3.62e6), "3.62M");
  EXPECT_EQ(FormatTokens(0.21e6), "0.21M");
  EXPECT_EQ(FormatTokens(400384), "0.40M");
  EXPECT_EQ(FormatTokens(7.02e9), "7.02B");
  EXPECT_EQ(FormatTokens(59.7e9), "59.7B");
  EXPECT_EQ(FormatTokens(65536), "65.5K");
  EXPECT_EQ(FormatTokens(512), "512");
}

TEST(FormatTest, FlopsRatiosRatesAndLosses) {
  EXPECT_EQ(FormatFlops(5e10), "5e10");
  EXPECT_EQ(FormatFlops(1.1447e11), "1.14e11");
  EXPECT_EQ(FormatFlops(9.2349e12), "9.23e12");
  EXPECT_EQ(FormatFlops(0), "0");
  EXPECT_EQ(FormatFlops(9.999e18), "1e19");
  EXPECT_EQ(FormatRatio(5.21), "5.2");
  EXPECT_EQ(FormatRatio(7), "7.0");
  EXPECT_EQ(FormatRatio(10.2), "10");
  EXPECT_EQ(FormatRatio(253.4), "253");
  EXPECT_EQ(FormatRate(124900), "125K");
  EXPECT_EQ(FormatRate(91200), "91.2K");
  EXPECT_EQ(FormatRate(1.7e6), "1.7M");
  EXPECT_EQ(FormatLoss(1.8778), "1.878");
  EXPECT_EQ(FormatLoss(10.824), "10.82");
  EXPECT_EQ(FormatLoss(INFINITY), "-");
}

TEST(FormatTest, Spans) {
  EXPECT_EQ(FormatSeconds(0), "0s");
  EXPECT_EQ(FormatSeconds(0.35), "0.3s");
  EXPECT_EQ(FormatSeconds(6.2), "6s");
  EXPECT_EQ(FormatSeconds(74), "1m14s");
  EXPECT_EQ(FormatSeconds(280), "4m40s");
  EXPECT_EQ(FormatSeconds(59.7), "1m00s");
  EXPECT_EQ(FormatSeconds(7500), "2h05m");
  EXPECT_EQ(FormatSeconds(3599.9), "1h00m");
  EXPECT_EQ(FormatSeconds(4 * 3600 + 3 * 86400), "3d04h");
  EXPECT_EQ(FormatSeconds(-1), "-");
}

TEST(FormatTest, SignificantDigitsAndBytes) {
  EXPECT_EQ(FormatSignificant(1.81722, 6), "1.81722");
  EXPECT_EQ(FormatSignificant(477.8264, 6), "477.826");
  EXPECT_EQ(FormatSignificant(2143.42, 3), "2140");
  EXPECT_EQ(FormatSignificant(0.0012345, 3), "0.00123");
  EXPECT_EQ(FormatSignificant(9.9996, 4), "10.00");
  EXPECT_EQ(FormatBytes(12), "12 B");
  EXPECT_EQ(FormatBytes(1.5e6), "1.5 MB");
  EXPECT_EQ(FormatBytes(80e9), "80 GB");
  EXPECT_EQ(Plural(1, "cell"), "1 cell");
  EXPECT_EQ(Plural(2, "cell"), "2 cells");
}

TEST(FormatTest, ExactNumbersHaveOneSpelling) {
  EXPECT_EQ(ExactNumber(1.0), "1");
  EXPECT_EQ(ExactNumber(-0.0), "0");
  EXPECT_EQ(ExactNumber(0.003), "0.003");
  EXPECT_EQ(ExactNumber(1e-8), "1e-8");
  EXPECT_EQ(ExactNumber(1e20), "1e20");
  EXPECT_EQ(ExactNumber(6e11), "600000000000");
  for (const double value : {0.1, 1.0 / 3, 2.5e-17, 1.7976931348623157e308, 114471424255.33319}) {
    EXPECT_EQ(std::strtod(ExactNumber(value).c_str(), nullptr), value);
  }
}

}  // namespace
}  // namespace isoflop
