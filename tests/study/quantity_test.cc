#include "study/quantity.h"

#include <gtest/gtest.h>

namespace isoflop {
namespace {

TEST(QuantityTest, AmountsWithUnitsOfBothKinds) {
  EXPECT_EQ(ParseAmount("1e18"), 1e18);
  EXPECT_EQ(ParseAmount("125M"), 125e6);
  EXPECT_EQ(ParseAmount("2.5B"), 2.5e9);
  EXPECT_EQ(ParseAmount("0.2T"), 2e11);
  EXPECT_EQ(ParseAmount("64Ki"), 65536);
  EXPECT_EQ(ParseAmount("1.5Mi"), 1572864);
}

TEST(QuantityTest, CountsComeOutWhole) {
  EXPECT_EQ(ParseCount("0.2T"), 200000000000);
  EXPECT_EQ(ParseCount("4.85M"), 4850000);
  EXPECT_EQ(ParseCount("1.0000001K"), 1000) << "a unit rounds";
  EXPECT_EQ(ParseCount("1e6"), 1000000);
  EXPECT_EQ(ParseCount("1.5"), std::nullopt) << "no unit, not whole";
  EXPECT_EQ(ParseCount("1e17"), std::nullopt) << "beyond 2^53 not exact";
}

TEST(QuantityTest, SharesAndDurations) {
  EXPECT_EQ(ParseShare("5%"), 0.05);
  EXPECT_EQ(ParseShare("0.05"), 0.05);
  EXPECT_EQ(ParseShare("5 %"), std::nullopt);
  EXPECT_EQ(ParseDuration("90s"), absl::Seconds(90));
  EXPECT_EQ(ParseDuration("10m"), absl::Minutes(10));
  EXPECT_EQ(ParseDuration("12h"), absl::Hours(12));
  EXPECT_EQ(ParseDuration("2d"), absl::Hours(48));
  EXPECT_EQ(ParseDuration("12"), std::nullopt);
  EXPECT_EQ(ParseDuration("12w"), std::nullopt);
}

TEST(QuantityTest, RefusesWhatIsNoNumber) {
  for (const char* text : {"", "1.5.B", "B", "-1M", "+1", "1 M", "0x10", "inf", "nan", "1e", "1e400", "1MB", "1k", "5%"}) {
    EXPECT_EQ(ParseAmount(text), std::nullopt) << text;
    EXPECT_EQ(ParseCount(text), std::nullopt) << text;
  }
  EXPECT_EQ(ParsePlainNumber("-0.52"), -0.52);
  EXPECT_EQ(ParsePlainNumber("+0.5"), 0.5);
  EXPECT_EQ(ParsePlainNumber("1M"), std::nullopt);
}

}  // namespace
}  // namespace isoflop
