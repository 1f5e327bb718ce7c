#include "proto/channel.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"
#include "gtest/gtest.h"
#include "proto/token_file.h"

namespace isoflop {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class TokenFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string folder = ::testing::TempDir() + "isoflop-token-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    folder_ = folder;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string Write(const std::string& text, mode_t mode) {
    const std::string path = folder_ + "/token";
    std::ofstream(path) << text;
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return path;
  }
  std::string folder_;
};

TEST_F(TokenFileTest, MakesATokenOfMode0600ThatDiffersEachTime) {
  ASSERT_TRUE(CreateTokenFile(folder_ + "/a").ok());
  ASSERT_TRUE(CreateTokenFile(folder_ + "/b").ok());
  struct stat info;
  ASSERT_EQ(stat((folder_ + "/a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto a = ReadTokenFile(folder_ + "/a");
  const auto b = ReadTokenFile(folder_ + "/b");
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_EQ(a->size(), 1u);
  EXPECT_NE(a->front(), b->front());
  EXPECT_EQ(CreateTokenFile(folder_ + "/a").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReadTokenFile(folder_ + "/a")->front(), a->front()) << "left as it was";
}

TEST_F(TokenFileTest, RefusesWhatOthersMayReadALinkAndWhatIsNoToken) {
  ASSERT_TRUE(CreateTokenFile(folder_ + "/a").ok());
  for (const mode_t mode : {0640, 0604, 0620, 0777}) {
    ASSERT_EQ(chmod((folder_ + "/a").c_str(), mode), 0);
    const auto status = ReadTokenFile(folder_ + "/a").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
    EXPECT_THAT(status.ToString(), HasSubstr("chmod 600"));
  }
  std::filesystem::create_symlink(folder_ + "/a", folder_ + "/link");
  EXPECT_EQ(ReadTokenFile(folder_ + "/link").status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(ReadTokenFile(folder_ + "/none").status().code(), absl::StatusCode::kNotFound);
  const auto canary = ReadTokenFile(Write("canary-that-is-no-token\n", 0600)).status();
  EXPECT_EQ(canary.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(canary.ToString(), Not(HasSubstr("canary-that")));
  EXPECT_EQ(ReadTokenFile(Write("", 0600)).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ChannelTest, RefusesAddressesThatAreNone) {
  for (const char* bad : {"", "host", "host:", "host:x", "host:0", ":1", "http//x"}) {
    EXPECT_EQ(CoordinatorChannel::Create(bad, "").status().code(),
              absl::StatusCode::kInvalidArgument)
        << bad;
  }
  EXPECT_EQ(CoordinatorChannel::Create("unix:/" + std::string(200, 'x'), "").status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ChannelTest, ATcpAddressWithoutATokenNamesTheCure) {
  const auto status = CoordinatorChannel::Create("127.0.0.1:1", "").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_THAT(status.ToString(), HasSubstr("ISOFLOP_TOKEN_FILE"));
}

TEST(ChannelTest, NobodyListensNamesTheAddressAndWhatToStart) {
  const auto channel = CoordinatorChannel::Create("/nowhere/coordinator.sock", "");
  ASSERT_TRUE(channel.ok());
  for (const auto code : {grpc::StatusCode::UNAVAILABLE, grpc::StatusCode::CANCELLED}) {
    const absl::Status status = (*channel)->ToStatus(grpc::Status(code, "connect failed"));
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(status.ToString(), HasSubstr("unix:/nowhere/coordinator.sock: nobody listens"));
    EXPECT_THAT(status.ToString(), HasSubstr("cure: isoflop coordinator"));
  }
  EXPECT_EQ((*channel)->ToStatus(grpc::Status(grpc::StatusCode::NOT_FOUND, "no study")),
            absl::NotFoundError("no study"));
}

}  // namespace
}  // namespace isoflop
