#include "analysis/normal.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <vector>

namespace isoflop {
namespace {

// mpmath at 40 digits; AS 241's own three test values (p = 0.25, 0.001, 1e-20)
// are among them.
TEST(NormalTest, QuantilesAreThePublishedOnes) {
  const struct {
    double p, z;
  } kRows[] = {{1e-300, -37.047096299361199237}, {1e-100, -21.273453560965324294}, {1e-20, -9.2623400897984075796},
               {1e-10, -6.3613409024040561991},  {1e-5, -4.2648907939228246102},   {0.001, -3.0902323061678135354},
               {0.02425, -1.9729610513118848376}, {0.025, -1.9599639845400542118}, {0.075, -1.4395314709384559349},
               {0.1, -1.2815515655446004353},    {0.25, -0.6744897501960817432},   {0.4, -0.25334710313579974132}};
  double worst = 0;
  for (const auto& row : kRows) {
    worst = std::max(worst, std::abs(NormalQuantile(row.p) / row.z - 1));
    if (row.p > 1e-4) {
      EXPECT_NEAR(NormalQuantile(1 - row.p), -row.z, 1e-13) << row.p;
    }
  }
  std::printf("AS 241: largest relative error %.2g (required 1e-14)\n", worst);
  EXPECT_LT(worst, 1e-14);
  EXPECT_EQ(NormalQuantile(0.5), 0);
  EXPECT_EQ(NormalQuantile(0), -INFINITY);
  EXPECT_EQ(NormalQuantile(1), INFINITY);
  EXPECT_TRUE(std::isnan(NormalQuantile(1.1)) && std::isnan(NormalQuantile(NAN)));
}

TEST(NormalTest, DistributionFunctionKeepsItsTails) {
  const struct {
    double z, p;
  } kRows[] = {{-37.5, 4.6053530095819548438e-308}, {-10, 7.619853024160526066e-24}, {-5, 2.8665157187919391167e-7},
               {-2.5, 0.006209665325776135167},     {-1, 0.15865525393145705141},    {-0.1, 0.46017216272297101633},
               {0, 0.5},                            {0.5, 0.69146246127401310364},   {3, 0.99865010196836990547}};
  for (const auto& row : kRows) {
    EXPECT_NEAR(NormalCdf(row.z) / row.p, 1, row.z < -30 ? 1e-11 : 1e-13) << row.z;
  }
  for (double p = 0.0005; p < 1; p += 0.001) EXPECT_NEAR(NormalCdf(NormalQuantile(p)) / p, 1, 1e-14) << p;
}

// mpmath's regularised incomplete beta function.
TEST(NormalTest, FTails) {
  const struct {
    double f, df1, df2, p;
  } kRows[] = {{1, 1, 1, 0.5},
               {4, 1, 10, 0.073388034770740365618},
               {3.3258, 5, 10, 0.050001401482691562636},
               {2.5, 3, 7, 0.14350945627893922172},
               {0.5, 10, 3, 0.82199259262482458762},
               {1.2, 55, 120, 0.20429316107291739309},
               {1.1, 995, 2000, 0.03988250317993644526},
               {30, 2, 40, 1.099511627776e-8},
               {1e-3, 4, 6, 0.99999733925038141982},
               {10, 235, 5, 0.0079740055042212302453}};
  double worst = 0;
  for (const auto& row : kRows) worst = std::max(worst, std::abs(FUpperTail(row.f, row.df1, row.df2) / row.p - 1));
  std::printf("F tail: largest relative error %.2g (required 1e-12)\n", worst);
  EXPECT_LT(worst, 1e-12);
  EXPECT_EQ(FUpperTail(0, 3, 4), 1);
  EXPECT_EQ(FUpperTail(INFINITY, 3, 4), 0);
}

TEST(NormalTest, UniformsFollowTheStatedStream) {
  std::mt19937 ours(7), plain(7);
  for (int i = 0; i < 1000; ++i) {
    const uint32_t first = static_cast<uint32_t>(plain()), second = static_cast<uint32_t>(plain());
    const double u = (static_cast<double>(first >> 5) * 67108864.0 + static_cast<double>(second >> 6) + 0.5) /
                     9007199254740992.0;
    EXPECT_EQ(DrawUniform(&ours), u);
    EXPECT_TRUE(u > 0 && u < 1);
  }
}

TEST(NormalTest, DrawsAreStandardNormal) {
  std::mt19937 generator(11);
  constexpr int kDraws = 200'000;
  double sum = 0, squares = 0, fourths = 0;
  int inside = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double z = DrawNormal(&generator);
    sum += z;
    squares += z * z;
    fourths += z * z * z * z;
    inside += std::abs(z) < 1.959963984540054;
  }
  // Five standard errors of each.
  EXPECT_NEAR(sum / kDraws, 0, 5 * 0.00224);
  EXPECT_NEAR(squares / kDraws, 1, 5 * 0.00317);
  EXPECT_NEAR(fourths / kDraws, 3, 5 * 0.022);
  EXPECT_NEAR(static_cast<double>(inside) / kDraws, 0.95, 5 * 0.00049);
}

}  // namespace
}  // namespace isoflop
