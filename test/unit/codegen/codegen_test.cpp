// Code generation below the dialects: a hand-written body at the vector level goes through every
// level's expansion of route.dot4, LLVM and lld, and is run where the CPU allows.
#include "lib/codegen/codegen.h"
#include "semdns/format/gpu.h"
#include "test/runs_here.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/InitAllDialects.h"
#include "mlir/Parser/Parser.h"

#include "gtest/gtest.h"

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <random>
#include <unistd.h>
#include <vector>

namespace {

using namespace semdns;

// scores[0..16) = dot of quant[0..4) with 16 classes, starting from offsets; the micro-kernels run
// when stage bit 0 is set.
const char *const kBody = R"mlir(
func.func private @uk_tokenise(!llvm.ptr, !llvm.ptr, i64, i32, i32, i32, i32, !llvm.ptr, memref<16384xi64>, memref<5xi32>)
func.func private @uk_match(!llvm.ptr, !llvm.ptr, i32, memref<64xi32>) -> i32
func.func @semdns_route_body(
    %text: !llvm.ptr, %size: i64, %stages: i32, %topk: i32, %tt: !llvm.ptr, %keyw: !llvm.ptr,
    %terms: memref<4xi32>, %buckets: memref<16xi32>, %rows: memref<16xi8>, %norms: memref<1xi16>,
    %vectors: memref<64xi8>, %offsets: memref<16xi32>, %exp2: memref<256xi32>,
    %thresholds: memref<1xi32>, %odds: i32, %words: !llvm.ptr,
    %features: memref<16384xi64>, %rowids: memref<16384xi32>, %hits: memref<64xi32>,
    %votes: memref<1xi32>, %pool: memref<16xi32>, %quant: memref<16xi8>, %scores: memref<16xi32>,
    %weights: memref<16xi32>, %counts: memref<5xi32>, %answer: memref<48xi32>,
    %beam: !llvm.ptr, %clsf: !llvm.ptr, %trace: !llvm.ptr) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %z = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %bit = arith.andi %stages, %one : i32
  %run = arith.cmpi ne, %bit, %z : i32
  scf.if %run {
    func.call @uk_tokenise(%tt, %text, %size, %one, %z, %z, %z, %words, %features, %counts) : (!llvm.ptr, !llvm.ptr, i64, i32, i32, i32, i32, !llvm.ptr, memref<16384xi64>, memref<5xi32>) -> ()
    %n = memref.load %counts[%c0] : memref<5xi32>
    %h = func.call @uk_match(%keyw, %words, %n, %hits) : (!llvm.ptr, !llvm.ptr, i32, memref<64xi32>) -> i32
    memref.store %h, %answer[%c1] : memref<48xi32>
  }
  %q4 = vector.load %quant[%c0] : memref<16xi8>, vector<4xi8>
  %qi = vector.bitcast %q4 : vector<4xi8> to vector<1xi32>
  %qs = vector.extract %qi[0] : i32 from vector<1xi32>
  %qb = vector.broadcast %qs : i32 to vector<16xi32>
  %q = vector.bitcast %qb : vector<16xi32> to vector<64xi8>
  %v = vector.load %vectors[%c0] : memref<64xi8>, vector<64xi8>
  %acc = vector.load %offsets[%c0] : memref<16xi32>, vector<16xi32>
  %s = "route.dot4"(%acc, %q, %v) {lhs_bias = LHS_BIAS : i32} : (vector<16xi32>, vector<64xi8>, vector<64xi8>) -> vector<16xi32>
  vector.store %s, %scores[%c0] : memref<16xi32>, vector<16xi32>
  func.return
}
)mlir";

mlir::OwningOpRef<mlir::ModuleOp> parse(mlir::MLIRContext &context, int bias) {
  std::string text = kBody;
  size_t at = text.find("LHS_BIAS");
  text.replace(at, 8, std::to_string(bias));
  return mlir::parseSourceString<mlir::ModuleOp>(text, &context);
}

struct Loaded {
  explicit Loaded(const std::string &elf) {
    char path[] = "/tmp/semdns-test-XXXXXX";
    int fd = mkstemp(path);
    std::ofstream(path, std::ios::binary) << elf;
    close(fd);
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
      ADD_FAILURE() << dlerror();
    unlink(path);
  }
  ~Loaded() {
    if (handle)
      dlclose(handle);
  }
  void *handle = nullptr;
};

class Codegen : public testing::Test {
protected:
  Codegen() {
    mlir::DialectRegistry registry;
    mlir::registerAllDialects(registry);
    codegen::registerDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
    context.allowUnregisteredDialects();
  }
  mlir::MLIRContext context;
};

std::string compile(mlir::ModuleOp module, const codegen::KernelSpec &spec,
                    const codegen::DumpOptions *options = nullptr) {
  auto elf = codegen::compileKernel(module, spec, options);
  if (!elf) {
    ADD_FAILURE() << llvm::toString(elf.takeError());
    return {};
  }
  return *elf;
}

TEST_F(Codegen, EveryLevelComputesTheSameScores) {
  std::mt19937 random(7);
  for (int bias : {0, 128}) {
    auto module = parse(context, bias);
    ASSERT_TRUE(module);
    for (const target::IsaTraits &isa : target::allIsas()) {
      SCOPED_TRACE(isa.name.str() + " bias " + std::to_string(bias));
      codegen::KernelSpec spec;
      spec.isa = isa.isa;
      spec.info.dim = 16;
      std::string elf = compile(*module, spec);
      ASSERT_FALSE(elf.empty());
      EXPECT_EQ(elf, compile(*module, spec)) << "not deterministic";
      if (!test::runsHere(isa.isa))
        continue;
      Loaded library(elf);
      ASSERT_TRUE(library.handle);
      auto *info =
          static_cast<const semdns_kernel_info_t *>(dlsym(library.handle, "semdns_kernel_info"));
      ASSERT_TRUE(info);
      EXPECT_EQ(info->size, sizeof *info);
      EXPECT_EQ(info->abi, SEMDNS_KERNEL_ABI);
      EXPECT_EQ(info->isa, uint32_t(isa.isa));
      EXPECT_EQ(info->dim, 16u);
      auto route =
          reinterpret_cast<semdns_kernel_route_fn>(dlsym(library.handle, "semdns_kernel_route"));
      ASSERT_TRUE(route);

      struct alignas(64) Cent {
        semdns_cent_header header = {};
        int8_t vectors[64];
        int32_t offsets[16];
      } cent;
      cent.header.vectors_offset = offsetof(Cent, vectors);
      cent.header.offsets_offset = offsetof(Cent, offsets);
      alignas(64) semdns_keyw_header keyw = {};
      alignas(64) semdns_tokv_header tokv = {};
      alignas(64) semdns_clsf_header clsf = {};
      alignas(64) int8_t quant[16] = {};
      alignas(64) int32_t scores[16];
      semdns_kernel_tables tables = {};
      tables.keyw = reinterpret_cast<uint8_t *>(&keyw);
      tables.tokv = reinterpret_cast<uint8_t *>(&tokv);
      tables.cent = reinterpret_cast<uint8_t *>(&cent);
      tables.clsf = reinterpret_cast<uint8_t *>(&clsf);
      semdns_kernel_query query = {};
      semdns_kernel_scratch scratch = {};
      scratch.quant = quant;
      scratch.scores = scores;
      semdns_kernel_answer answer = {};
      for (int round = 0; round < 200; ++round) {
        auto draw = [&]() -> int8_t {
          switch (random() % 4) {
          case 0:
            return 127;
          case 1:
            return -127;
          default:
            return static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
          }
        };
        for (int8_t &x : cent.vectors)
          x = draw();
        for (int8_t &x : quant)
          x = draw();
        for (int32_t &x : cent.offsets)
          x = static_cast<int32_t>(random() % 100000) - 50000;
        route(&tables, &query, &scratch, &answer);
        for (int lane = 0; lane < 16; ++lane) {
          int32_t expected = cent.offsets[lane];
          for (int k = 0; k < 4; ++k)
            expected += (quant[k] + bias) * cent.vectors[4 * lane + k];
          ASSERT_EQ(scores[lane], expected) << "lane " << lane;
        }
      }
    }
  }
}

TEST_F(Codegen, UsesTheInstructionsOfItsLevel) {
  auto module = parse(context, 128);
  auto assembly = [&](semdns_isa isa) {
    std::string text;
    codegen::DumpOptions options;
    options.dump = [&](llvm::StringRef phase, llvm::StringRef dumped) {
      if (phase == "asm")
        text = dumped.str();
    };
    codegen::KernelSpec spec;
    spec.isa = isa;
    compile(*module, spec, &options);
    return text;
  };
  std::string v2 = assembly(SEMDNS_ISA_X86_64_V2), v3 = assembly(SEMDNS_ISA_X86_64_V3),
              v4 = assembly(SEMDNS_ISA_X86_64_V4), vnni = assembly(SEMDNS_ISA_X86_64_V4_VNNI);
  EXPECT_NE(v2.find("pmaddubsw"), std::string::npos);
  EXPECT_EQ(v2.find("ymm"), std::string::npos);
  EXPECT_NE(v3.find("vpsignb"), std::string::npos);
  EXPECT_EQ(v3.find("zmm"), std::string::npos);
  EXPECT_NE(v4.find("zmm"), std::string::npos);
  EXPECT_EQ(v4.find("vpdpbusd"), std::string::npos);
  EXPECT_NE(vnni.find("vpdpbusd"), std::string::npos);
  for (const std::string *text : {&v2, &v3, &v4, &vnni}) {
    EXPECT_EQ(text->find("uk_"), std::string::npos);
    EXPECT_EQ(text->find("\tcall"), std::string::npos);
  }
}

TEST_F(Codegen, DumpsStopsAndTimes) {
  auto module = parse(context, 0);
  std::vector<std::string> phases, steps;
  codegen::DumpOptions options;
  options.dump = [&](llvm::StringRef phase, llvm::StringRef text) {
    phases.push_back(phase.str());
    EXPECT_FALSE(text.empty());
  };
  options.timing = [&](llvm::StringRef step, double seconds) {
    steps.push_back(step.str());
    EXPECT_GE(seconds, 0);
  };
  compile(*module, {}, &options);
  EXPECT_EQ(phases, (std::vector<std::string>{"route", "lowered", "llvm", "asm"}));
  EXPECT_EQ(steps, (std::vector<std::string>{"lower", "translate", "optimise", "emit", "link"}));
  phases.clear();
  options.stopAfter = "lowered";
  auto stopped = codegen::compileKernel(*module, {}, &options);
  ASSERT_TRUE(bool(stopped));
  EXPECT_TRUE(stopped->empty());
  EXPECT_EQ(phases, (std::vector<std::string>{"route", "lowered"}));
}

TEST_F(Codegen, ObjectsNameTheirLevel) {
  auto module = parse(context, 128);
  codegen::KernelSpec spec;
  spec.isa = SEMDNS_ISA_X86_64_V4_VNNI;
  auto object = codegen::emitObject(*module, spec);
  ASSERT_TRUE(bool(object)) << llvm::toString(object.takeError());
  EXPECT_NE(object->find("semdns_kernel_route_x86_64_v4_vnni"), std::string::npos);
  EXPECT_NE(object->find("semdns_kernel_info_x86_64_v4_vnni"), std::string::npos);
}

TEST_F(Codegen, RefusesWhatCannotBeAKernel) {
  auto refusal = [&](llvm::StringRef text, semdns_isa isa = SEMDNS_ISA_X86_64_V2) {
    auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    codegen::KernelSpec spec;
    spec.isa = isa;
    auto elf = codegen::compileKernel(*module, spec);
    return elf ? std::string("accepted") : llvm::toString(elf.takeError());
  };
  EXPECT_EQ(refusal(""), "the module holds no routing program");
  EXPECT_EQ(refusal("func.func @semdns_route_body(%a: i32) { return }"),
            "semdns_route_body does not have the arguments that kernels/entry.cpp passes");
  EXPECT_NE(refusal("", SEMDNS_ISA_AARCH64).find("does not compile for level 16"),
            std::string::npos);
  // A call out of the kernel: the micro-kernel of another version, or a library function.
  std::string calling = kBody;
  calling.replace(calling.find("LHS_BIAS"), 8, "0");
  calling.insert(calling.find("  func.return"), "  func.call @elsewhere() : () -> ()\n");
  calling = "func.func private @elsewhere()\n" + calling;
  EXPECT_EQ(refusal(calling), "the kernel would call 'elsewhere'");
}

// One class, so that the program is small; test/lit/gpu and test/diff have larger ones.
const char *const kProgram = R"mlir(
route.program @demo zones 2 terms 0 {
  %words, %features = route.tokenize word_ngrams 1 char_ngrams 0 to 0
  route.stage embedding {
    %rows = route.lookup %features buckets 4 rows 10 unknown_norm 7
    %pool = route.pool %rows : !route.pool<16>
    %query = route.quantize %pool : !route.pool<16> -> !route.query<16>
    %scores = route.score %query layout 1 : !route.query<16> -> !route.scores<1>
    %weights = route.weigh %scores by %query gain 4096
      : !route.scores<1>, !route.query<16> -> !route.weights<1>
    %best = route.select %scores zones [1] : !route.scores<1>
    %accept = route.acceptance
    %zone = route.climb %best with %weights on %rows by %accept steps 1 parents [0, 0]
      classes [0, 0] to [1, 1] : !route.weights<1>
    route.answer %zone : !route.zone
  }
  route.root
}
)mlir";

TEST_F(Codegen, GpuSectionsHoldPtx) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(kProgram, &context);
  ASSERT_TRUE(module);
  auto ptx = codegen::compilePtx(*module);
  ASSERT_TRUE(bool(ptx)) << llvm::toString(ptx.takeError());
  EXPECT_NE(ptx->find(".target sm_80"), std::string::npos);
  EXPECT_NE(ptx->find("mma.sync"), std::string::npos);
  EXPECT_NE(ptx->find(SEMDNS_GPU_READ), std::string::npos);
  EXPECT_EQ(ptx->find(".local"), std::string::npos); // no keywords: everything in registers
  semdns_kernel_info_t info = {};
  info.layout = 2;
  info.class_count = 33;
  std::string section = codegen::makeGpuSection(0, info, *ptx);
  semdns_kgpu_header header;
  std::memcpy(&header, section.data(), sizeof header);
  EXPECT_EQ(header.abi, SEMDNS_GPU_ABI);
  EXPECT_EQ(header.padded_count, 64u);
  EXPECT_EQ(header.image_offset + header.image_size, section.size());
  EXPECT_EQ(section.back(), '\0');
}

TEST_F(Codegen, CubinsNeedTheToolkitAndAKnownChip) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(kProgram, &context);
  auto unknown = codegen::compileCubin(*module, 42);
  ASSERT_FALSE(bool(unknown));
  EXPECT_NE(llvm::toString(unknown.takeError()).find("sm_42"), std::string::npos);
  auto version = codegen::ptxasVersion();
  if (!version)
    GTEST_SKIP() << llvm::toString(version.takeError());
  auto cubin = codegen::compileCubin(*module, 90);
  ASSERT_TRUE(bool(cubin)) << llvm::toString(cubin.takeError());
  EXPECT_EQ(cubin->substr(0, 4), "\x7f"
                                 "ELF");
}

TEST(CheckKernelElf, RefusesOtherFiles) {
  auto error = codegen::checkKernelElf("not an ELF file");
  EXPECT_TRUE(bool(error));
  llvm::consumeError(std::move(error));
}

} // namespace
