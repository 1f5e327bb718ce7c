#include "corpus/text_documents.h"

#include <lzma.h>
#include <zlib.h>

#include <string>
#include <vector>

#include "corpus/sha256.h"
#include "gmock/gmock.h"
#include "tests/corpus/test_files.h"

namespace isoflop {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

std::string Gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string Xz(const std::string& text) {
  std::string packed(lzma_stream_buffer_bound(text.size()), '\0');
  std::size_t size = 0;
  EXPECT_EQ(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, nullptr,
                                    reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                                    reinterpret_cast<std::uint8_t*>(packed.data()), &size,
                                    packed.size()),
            LZMA_OK);
  packed.resize(size);
  return packed;
}

absl::StatusOr<std::vector<std::string>> Documents(const std::string& path,
                                                   SplitBy by = SplitBy::kDocument) {
  const absl::StatusOr<std::vector<SourceFile>> sources = ListSources({path}, "");
  if (!sources.ok()) return sources.status();
  std::vector<std::string> documents;
  for (const SourceFile& source : *sources) {
    const auto facts = ForEachDocument(source, by, [&](std::string_view document, std::int64_t) {
      documents.emplace_back(document);
      return absl::OkStatus();
    });
    if (!facts.ok()) return facts.status();
  }
  return documents;
}

// Longer than a piece of reading, hard to pack, with a byte that is not UTF-8.
std::string LongText() {
  std::string text = "\xff";
  std::uint64_t random = 1;
  while (text.size() < 700'000) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    text.push_back(static_cast<char>('a' + (random >> 60)));
  }
  return text;
}

TEST(TextDocumentsTest, PlainGzipAndXzGiveTheSameText) {
  const TestFolder folder;
  const std::string text = LongText();
  for (const std::string& path : {folder.Write("a.txt", text), folder.Write("b.txt.gz", Gzip(text)),
                                  folder.Write("c.txt.xz", Xz(text))}) {
    const auto documents = Documents(path);
    ASSERT_TRUE(documents.ok()) << documents.status();
    ASSERT_EQ(documents->size(), 1u);
    EXPECT_TRUE(documents->front() == text) << path;
  }
}

TEST(TextDocumentsTest, PackedStreamsBehindOneAnotherAreOneText) {
  const TestFolder folder;
  EXPECT_THAT(*Documents(folder.Write("a.gz", Gzip("one ") + Gzip("two"))), ElementsAre("one two"));
  EXPECT_THAT(*Documents(folder.Write("a.xz", Xz("one ") + Xz("two"))), ElementsAre("one two"));
}

TEST(TextDocumentsTest, JsonlHasADocumentALine) {
  const TestFolder folder;
  const std::string lines = "{\"text\": \"one\\ntwo\"}\r\n\n{\"id\": 3, \"text\": \"\xc3\xa9\"}";
  EXPECT_THAT(*Documents(folder.Write("a.jsonl", lines)), ElementsAre("one\ntwo", "\xc3\xa9"));
  EXPECT_THAT(*Documents(folder.Write("b.jsonl.gz", Gzip(lines))),
              ElementsAre("one\ntwo", "\xc3\xa9"));
}

TEST(TextDocumentsTest, BadJsonlNamesTheLineAndOffset) {
  const TestFolder folder;
  const std::string path = folder.Write("a.jsonl", "{\"text\": \"one\"}\n{\"txt\": \"two\"}\n");
  EXPECT_THAT(std::string(Documents(path).status().message()),
              AllOf(HasSubstr("a.jsonl: offset 16: line 2 has no string \"text\""),
                    HasSubstr("cure: one {\"text\": \"...\"} a line")));
  EXPECT_THAT(std::string(Documents(folder.Write("b.jsonl", "{\"text\": \"\xff\"}")).status().message()),
              HasSubstr("line 1 is not JSON in UTF-8"));
}

TEST(TextDocumentsTest, CutOrDamagedPackedFilesAreDataLossWithAnOffset) {
  const TestFolder folder;
  const std::string text = LongText();
  for (const auto& [name, packed] : {std::pair{"a.txt.gz", Gzip(text)}, {"a.txt.xz", Xz(text)}}) {
    const absl::Status cut =
        Documents(folder.Write(name, packed.substr(0, packed.size() / 2))).status();
    EXPECT_EQ(cut.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(cut.message()),
                AllOf(HasSubstr(name), HasSubstr("offset "), HasSubstr("ends too soon"),
                      HasSubstr("cure: copy the file again")));
    std::string damaged = packed;
    damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 0x55);
    const absl::Status bad = Documents(folder.Write(name, damaged)).status();
    EXPECT_EQ(bad.code(), absl::StatusCode::kDataLoss) << bad;
  }
}

TEST(SourceFilesTest, ListsAFolderByNameAndPassesOverHiddenFiles) {
  const TestFolder folder;
  folder.Write("web/b.txt", "b");
  folder.Write("web/a/z.txt", "az");
  folder.Write("web/.git/config", "hidden");
  folder.Write("web/.hidden", "hidden");
  const auto files = ListSources({folder.File("web")}, "");
  ASSERT_TRUE(files.ok()) << files.status();
  std::vector<std::string> names;
  for (const SourceFile& file : *files) names.push_back(file.name);
  EXPECT_THAT(names, ElementsAre("web/a/z.txt", "web/b.txt"));
}

TEST(SourceFilesTest, RefusesByName) {
  const TestFolder folder;
  const auto message = [&](const std::string& path, const std::string& dtype = "") {
    return std::string(ListSources({path}, dtype).status().message());
  };
  EXPECT_THAT(message(folder.Write("m.idx", std::string("MMIDIDX\0\0more", 13))),
              AllOf(HasSubstr("Megatron's .idx and .bin files are not read"), HasSubstr("cure:")));
  EXPECT_THAT(message(folder.Write("part.npy", "\1\2\3\4"), "u16"), HasSubstr("OLMo's and NumPy's .npy"));
  EXPECT_THAT(message(folder.Write("x.ds", "\1\2\3\4"), "u16"), HasSubstr("datatrove's .ds"));
  EXPECT_THAT(message(folder.Write("x.zst", "\x28\xb5\x2f\xfd...")), HasSubstr("zstd is not read"));
  EXPECT_THAT(message(folder.Write("raw.bin", "\1\2\3\4")),
              AllOf(HasSubstr("magic 67305985"), HasSubstr("--dtype u16")));
  EXPECT_THAT(message(folder.Write("empty.txt", "")), HasSubstr("the file is empty"));
  EXPECT_THAT(message(folder.File("nowhere")), HasSubstr("no such file or folder"));
  const TestFolder mixed;
  mixed.Write("a.txt", "text");
  mixed.Write("b.bin", LlmCFile(std::vector<std::uint16_t>{1, 2, 3}));
  EXPECT_THAT(message(mixed.path()), HasSubstr("prepare text and token files apart"));
}

}  // namespace
}  // namespace isoflop
