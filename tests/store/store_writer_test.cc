// The writer of a store: who may write, what is acknowledged, and what a disk
// that refuses changes.
#include "store/store_writer.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <future>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "store/query.h"
#include "tests/store/fault_vfs.h"
#include "tests/store/store_fixture.h"

namespace isoflop {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using StoreWriterTest = StoreTest;

StoreWriter::Operation Event(int64_t id) {
  return [id](RowWriter& rows) { return rows.AddEvent({.id = id, .at = At(id), .kind = "test", .detail = "x"}); };
}

// The ids of the events that a store holds.
std::vector<int64_t> StoredEvents(const std::string& db) {
  std::vector<int64_t> ids;
  const absl::Status status = RunQuery(
      db, "SELECT id FROM event ORDER BY id", absl::Seconds(60), [](const QueryHead&) {},
      [&ids](std::vector<QueryValue> row) {
        ids.push_back(std::get<int64_t>(row[0].value));
        return true;
      });
  EXPECT_TRUE(status.ok()) << status;
  return ids;
}

TEST_F(StoreWriterTest, ASecondWriterIsToldWhoHoldsTheStore) {
  const absl::Status second = StoreWriter::Open(db()).status();
  EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.message()), HasSubstr(absl::StrCat("process ", getpid())));
  EXPECT_THAT(std::string(second.message()), HasSubstr("cure: "));
  writer_->Close();
  writer_.reset();
  EXPECT_TRUE(StoreWriter::Open(db()).ok());
}

TEST_F(StoreWriterTest, EachStartRaisesTheEpochOfOneStore) {
  const std::string id = writer_->store_id();
  EXPECT_EQ(id.size(), 32u);
  EXPECT_EQ(writer_->epoch(), 1);
  writer_.reset();
  Start();
  EXPECT_EQ(writer_->epoch(), 2);
  EXPECT_EQ(writer_->store_id(), id);
}

TEST_F(StoreWriterTest, ItsFileIsForItsOwnerAlone) {
  EXPECT_EQ(std::filesystem::status(db()).permissions() & std::filesystem::perms(0077), std::filesystem::perms::none);
}

TEST_F(StoreWriterTest, AcknowledgesInOrderAndCommitsInGroups) {
  std::promise<void> all;
  std::vector<int> order;
  // Everything that queues while a commit runs goes into the next one.
  for (int i = 1; i <= 500; ++i) {
    const uint64_t number = writer_->Append({Event(i)});
    writer_->WhenDurable(number, [&order, &all, i] {
      order.push_back(i);
      if (i == 500) all.set_value();
    });
  }
  ASSERT_EQ(all.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  for (int i = 0; i < 500; ++i) ASSERT_EQ(order[static_cast<size_t>(i)], i + 1);
  EXPECT_LT(writer_->commits(), 500u) << "no group commit at all";
  EXPECT_EQ(StoredEvents(db()).size(), 500u);
}

TEST_F(StoreWriterTest, CloseCommitsWhatIsQueuedAndTruncatesTheWal) {
  std::atomic<int> acknowledged = 0;
  for (int i = 1; i <= 50; ++i) {
    writer_->WhenDurable(writer_->Append({Event(i)}), [&] { ++acknowledged; });
  }
  writer_->Close();
  EXPECT_EQ(acknowledged, 50);
  std::error_code none;
  const auto wal = std::filesystem::file_size(db() + "-wal", none);
  EXPECT_TRUE(none || wal == 0);
  EXPECT_EQ(StoredEvents(db()).size(), 50u);
}

TEST_F(StoreWriterTest, CloseDoesNotWaitForAReader) {
  PutStudy();
  const std::unique_ptr<ResultStore> reader = Read();
  PutStudy(StudyId(2), "later");
  const absl::Time begun = absl::Now();
  writer_->Close();
  EXPECT_LT(absl::Now() - begun, absl::Seconds(4)) << "SQLite's busy timeout is 5 s";
  EXPECT_EQ(reader->Studies()->size(), 1u);
}

TEST_F(StoreWriterTest, RoomIsWhatIsNotCommittedYet) {
  writer_.reset();
  StoreWriterOptions options;
  options.max_queued = 10;
  Start(options);
  EXPECT_TRUE(writer_->HasRoom(10));
  EXPECT_FALSE(writer_->HasRoom(11));
}

TEST_F(StoreWriterTest, ADamagedStoreIsRefused) {
  PutStudy();
  writer_.reset();
  {
    std::fstream file(db(), std::ios::binary | std::ios::in | std::ios::out);
    for (int page = 1; page < 20; ++page) {
      file.seekp(4096 * page);
      file << std::string(2048, '\x7f');
    }
  }
  const absl::Status status = StoreWriter::Open(db()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("cure: restore"));
}

TEST(StoreWriterOpenTest, AFileThatIsNoDatabaseIsRefused) {
  const TemporaryFolder folder;
  std::ofstream(folder.File("notes.txt")) << std::string(4096, 'a');
  const absl::Status status = StoreWriter::Open(folder.File("notes.txt")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
}

TEST(StoreWriterOpenTest, AFolderThatIsNotThereIsAnError) {
  const TemporaryFolder folder;
  EXPECT_FALSE(StoreWriter::Open(folder.File("none/isoflop.db")).ok());
}

// ---- a disk that refuses ----

class FullDiskTest : public testing::TestWithParam<int> {};

// Write or sync number k, k + 1, ... are refused for a while, for each k of a
// commit: nothing is acknowledged that is not stored, nothing acknowledged is
// lost, and it goes on by itself when there is space again.
TEST_P(FullDiskTest, NothingAcknowledgedIsLost) {
  const int code = GetParam();
  int refused_starts = 0;
  int healths = 0;
  for (int64_t k = 1; k <= 40; ++k) {
    const TemporaryFolder folder;
    FaultVfs vfs(absl::StrCat("full-", code, "-", k));
    const std::string db = folder.File("isoflop.db");
    absl::StatusOr<std::unique_ptr<StoreWriter>> writer =
        StoreWriter::Open(db, {.retry = absl::Milliseconds(2), .vfs = vfs.name()});
    ASSERT_TRUE(writer.ok()) << writer.status();

    const int64_t begun = vfs.operations();
    vfs.RefuseBetween(begun + k, begun + k + 12, code);
    std::mutex mu;
    std::condition_variable changed;
    int acknowledged = 0;
    for (int i = 1; i <= 6; ++i) {
      const uint64_t number = (*writer)->Append({Event(3 * i), Event(3 * i + 1), Event(3 * i + 2)});
      (*writer)->WhenDurable(number, [&, i] {
        const std::lock_guard lock(mu);
        // What is acknowledged can be read by others at once.
        EXPECT_GE(StoredEvents(db).size(), static_cast<size_t>(3 * i));
        ++acknowledged;
        changed.notify_one();
      });
      std::unique_lock lock(mu);
      const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
      while (acknowledged < i) {
        ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "k " << k;
        if (const std::string health = (*writer)->Health(); !health.empty()) {
          ++healths;
          EXPECT_THAT(health, HasSubstr(db)) << "a line that names the store";
        }
        changed.wait_for(lock, std::chrono::microseconds(200));
      }
    }
    EXPECT_EQ((*writer)->Health(), "");
    (*writer)->Close();
    EXPECT_EQ(StoredEvents(db).size(), 18u);

    // A start on a full disk is refused, or goes through; the store stays whole.
    vfs.RefuseBetween(vfs.operations() + k, vfs.operations() + k + 1000, code);
    const absl::Status again =
        StoreWriter::Open(db, {.retry = absl::Milliseconds(1), .vfs = vfs.name()}).status();
    if (!again.ok()) {
      ++refused_starts;
      EXPECT_EQ(again.code(), absl::StatusCode::kResourceExhausted) << again;
    }
    vfs.RefuseNothing();
    EXPECT_EQ(StoredEvents(db).size(), 18u);
  }
  EXPECT_GT(healths, 0) << "the shim refused no commit: the test tests nothing";
  EXPECT_GT(refused_starts, 0) << "the shim refused no start: the test tests nothing";
  std::printf("code %d: 40 places, health was told %d times, %d starts refused\n", code, healths, refused_starts);
}

INSTANTIATE_TEST_SUITE_P(Codes, FullDiskTest, testing::Values(SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC));

TEST(FullDiskStartTest, ANewStoreOnAFullDiskIsRefusedWithACure) {
  const TemporaryFolder folder;
  FaultVfs vfs("full-new");
  vfs.RefuseBetween(1, 1'000'000, SQLITE_FULL);
  const absl::Status status = StoreWriter::Open(folder.File("isoflop.db"), {.vfs = vfs.name()}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("cure: free space"));
}

TEST(FullDiskStopTest, CloseEndsWhileTheDiskRefusesAndAcknowledgesNothing) {
  const TemporaryFolder folder;
  FaultVfs vfs("full-close");
  absl::StatusOr<std::unique_ptr<StoreWriter>> writer =
      StoreWriter::Open(folder.File("isoflop.db"), {.retry = absl::Hours(1), .vfs = vfs.name()});
  ASSERT_TRUE(writer.ok()) << writer.status();
  vfs.RefuseBetween(1, 1'000'000'000, SQLITE_FULL);
  bool acknowledged = false;
  (*writer)->WhenDurable((*writer)->Append({Event(1)}), [&] { acknowledged = true; });
  (*writer)->Close();
  EXPECT_FALSE(acknowledged);
  EXPECT_THAT((*writer)->Health(), HasSubstr("full"));
  vfs.RefuseNothing();
  EXPECT_THAT(StoredEvents(folder.File("isoflop.db")), ElementsAre());
}

// ---- a process that is killed, a disk that loses its power ----

// A child writes events and tells each that is acknowledged; it is killed -9
// after some of them.
TEST(KillTest, AcknowledgedIsStored) {
  const TemporaryFolder folder;
  const std::string db = folder.File("isoflop.db");
  int64_t last = 0;
  int64_t acknowledged_in_all = 0;
  for (int round = 0; round < 12; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(pipe_ends[0]);
      absl::StatusOr<std::unique_ptr<StoreWriter>> writer = StoreWriter::Open(db);
      if (!writer.ok()) _exit(3);
      for (int64_t id = last + 1;; ++id) {
        while (!(*writer)->HasRoom(60'000)) usleep(100);
        const uint64_t number = (*writer)->Append({Event(id)});
        (*writer)->WhenDurable(number, [id, out = pipe_ends[1]] {
          if (write(out, &id, sizeof(id)) != sizeof(id)) _exit(4);
        });
      }
    }
    close(pipe_ends[1]);
    int64_t acknowledged = last;
    int64_t id = 0;
    // Not the same place each time.
    for (int i = 0; i < 61 * (round + 1) && read(pipe_ends[0], &id, sizeof(id)) == sizeof(id); ++i) acknowledged = id;
    kill(child, SIGKILL);
    while (read(pipe_ends[0], &id, sizeof(id)) == sizeof(id)) acknowledged = id;
    close(pipe_ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child could not write, exit " << WEXITSTATUS(status);

    const std::vector<int64_t> stored = StoredEvents(db);
    ASSERT_GE(static_cast<int64_t>(stored.size()), acknowledged) << "round " << round;
    for (size_t i = 0; i < stored.size(); ++i) ASSERT_EQ(stored[i], static_cast<int64_t>(i) + 1);
    acknowledged_in_all += acknowledged - last;
    last = static_cast<int64_t>(stored.size());
    // A start checks the file (quick_check).
    const absl::StatusOr<std::unique_ptr<StoreWriter>> again = StoreWriter::Open(db);
    ASSERT_TRUE(again.ok()) << again.status();
  }
  EXPECT_GT(acknowledged_in_all, 12 * 61);
  std::printf("12 kills, %lld acknowledged, 0 lost\n", static_cast<long long>(acknowledged_in_all));
}

struct CutCount {
  int cuts = 0;
  int64_t acknowledged = 0;
  int64_t lost = 0;
};

// Writes until the power is cut at a random operation, then opens what the disk
// kept.
CutCount CutPower(int cuts, bool ignore_wal_syncs) {
  CutCount count;
  for (int cut = 0; cut < cuts; ++cut) {
    const TemporaryFolder folder, after;
    FaultVfs vfs(absl::StrCat("cut-", ignore_wal_syncs, "-", cut));
    vfs.set_ignore_wal_syncs(ignore_wal_syncs);
    absl::StatusOr<std::unique_ptr<StoreWriter>> writer =
        StoreWriter::Open(folder.File("isoflop.db"), {.vfs = vfs.name()});
    EXPECT_TRUE(writer.ok()) << writer.status();
    if (!writer.ok()) return count;
    std::mt19937_64 random(static_cast<uint64_t>(cut));
    vfs.CutAt(vfs.operations() + 1 + static_cast<int64_t>(random() % 60), random());
    std::atomic<int64_t> acknowledged = 0;
    for (int64_t id = 1; id <= 30; ++id) {
      std::promise<void> done;
      (*writer)->WhenDurable((*writer)->Append({Event(id)}), [&] {
        // Said before the cut: must be there after it.
        if (!vfs.is_cut()) acknowledged = id;
        done.set_value();
      });
      EXPECT_EQ(done.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
      if (vfs.is_cut()) break;
    }
    (*writer)->Close();
    if (!vfs.is_cut()) continue;
    ++count.cuts;
    vfs.WriteImage(after.File(""));
    FaultVfs whole(absl::StrCat("whole-", ignore_wal_syncs, "-", cut));
    absl::StatusOr<std::unique_ptr<StoreWriter>> again =
        StoreWriter::Open(after.File("isoflop.db"), {.vfs = whole.name()});
    EXPECT_TRUE(again.ok() || ignore_wal_syncs) << "cut " << cut << ": " << again.status();
    const int64_t stored = again.ok() ? static_cast<int64_t>(StoredEvents(after.File("isoflop.db")).size()) : 0;
    count.acknowledged += acknowledged;
    count.lost += std::max<int64_t>(0, acknowledged - stored);
  }
  return count;
}

TEST(PowerCutTest, NothingAcknowledgedIsLost) {
  const CutCount count = CutPower(150, /*ignore_wal_syncs=*/false);
  std::printf("%d power cuts, %lld acknowledged, %lld lost\n", count.cuts, static_cast<long long>(count.acknowledged),
              static_cast<long long>(count.lost));
  EXPECT_GT(count.cuts, 100);
  EXPECT_GT(count.acknowledged, 100);
  EXPECT_EQ(count.lost, 0);
}

TEST(PowerCutTest, TheTestSeesWhatAMissingSyncLoses) {
  const CutCount count = CutPower(20, /*ignore_wal_syncs=*/true);
  std::printf("without syncs of the WAL: %d power cuts, %lld of %lld lost\n", count.cuts,
              static_cast<long long>(count.lost), static_cast<long long>(count.acknowledged));
  EXPECT_GT(count.lost, 0);
}

}  // namespace
}  // namespace isoflop
