// zone-to-route: a program that does what the hierarchy needs and nothing else.
#include "lib/passes/passes.h"

#include "dialects/route/route.h"
#include "dialects/zone/zone.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Pass/PassRegistry.h"

using namespace mlir;

namespace semdns::passes {
namespace {

/// The tree as tables indexed by ZTRE's zone number. Zones that canonicalisation removed keep
/// entries that nothing reaches.
class Tables {
public:
  explicit Tables(zone::HierarchyOp hierarchy)
      : parents(hierarchy.getZoneCount(), 0), classBegin(hierarchy.getZoneCount(), 0),
        classEnd(hierarchy.getZoneCount(), 0), voteParents(hierarchy.getZoneCount(), -1) {
    visit(hierarchy.root(), 0, 0, -1);
  }

  SmallVector<int32_t> parents, classBegin, classEnd, voteParents;
  SmallVector<int32_t> classZone;
  uint32_t steps = 0; ///< most moves that a climb can take

private:
  void visit(zone::ZoneOp zone, uint32_t parent, uint32_t depth, int32_t voter) {
    uint32_t index = zone.number();
    if (zone.hasKeywords()) // only such a zone can win
      voteParents[index] = voter;
    parents[index] = static_cast<int32_t>(parent);
    classBegin[index] = static_cast<int32_t>(classZone.size());
    if (zone.getClassId()) {
      classZone.push_back(static_cast<int32_t>(index));
      steps = std::max(steps, depth);
    }
    for (zone::ZoneOp child : zone.getBody().getOps<zone::ZoneOp>())
      visit(child, index, depth + 1, zone.hasKeywords() ? static_cast<int32_t>(index) : voter);
    classEnd[index] = static_cast<int32_t>(classZone.size());
  }
};

template <typename Op> Op only(zone::HierarchyOp hierarchy) {
  auto ops = hierarchy.getBody().getOps<Op>();
  return ops.empty() ? Op() : *ops.begin();
}

class Builder {
public:
  Builder(zone::HierarchyOp hierarchy, const Tables &tables)
      : b(hierarchy.getLoc(), hierarchy), hierarchy(hierarchy), tables(tables),
        features(only<zone::FeaturesOp>(hierarchy)),
        classifier(only<zone::ClassifierOp>(hierarchy)),
        acceptance(only<zone::AcceptanceOp>(hierarchy)) {}

  void run() {
    uint32_t terms = acceptance ? acceptance.getTerms() : 0;
    auto program =
        route::ProgramOp::create(b, hierarchy.getSymName(), hierarchy.getZoneCount(), terms);
    b.setInsertionPointToStart(&program.getBody().emplaceBlock());
    auto text =
        features
            ? route::TokenizeOp::create(b, features.getWordNgramMax(), features.getCharNgramMin(),
                                        features.getCharNgramMax(), features.getPunct())
            : route::TokenizeOp::create(b, 1, 0, 0, false);
    if (terms != 0)
      keywords(text.getWords());
    if (classifier)
      embedding(text.getFeatures());
    route::RootOp::create(b);
  }

private:
  /// Opens a stage; the caller closes it with `b.setInsertionPointAfter`.
  route::StageOp open(route::StageKind kind) {
    auto stage = route::StageOp::create(b, kind);
    b.setInsertionPointToStart(&stage.getBody().emplaceBlock());
    return stage;
  }

  void keywords(Value words) {
    auto stage = open(route::StageKind::Keyword);
    Value hits = route::MatchOp::create(b, words);
    bool never = !acceptance.getVotes();
    // The ancestors' votes matter to the purity test alone.
    bool pure = never || acceptance.getPurity() == 0 ||
                llvm::all_of(tables.voteParents, [](int32_t p) { return p < 0; });
    Value votes = route::VoteOp::create(
        b, hits, pure ? DenseI32ArrayAttr() : b.getDenseI32ArrayAttr(tables.voteParents));
    if (never) {
      route::AnswerOp::create(b, votes, Value(), IntegerAttr(), true);
    } else {
      Value accepted =
          route::AcceptVotesOp::create(b, votes, *acceptance.getVotes(), acceptance.getPurity());
      route::AnswerOp::create(b, votes, accepted,
                              b.getI32IntegerAttr(static_cast<int32_t>(acceptance.getConfidence())),
                              false);
    }
    b.setInsertionPointAfter(stage);
  }

  void embedding(Value hashes) {
    auto stage = open(route::StageKind::Embedding);
    MLIRContext *context = b.getContext();
    unsigned dim = features.getDim(), classes = classifier.getClasses();
    Value rows = route::LookupOp::create(b, hashes, features.getBuckets(), features.getRows(),
                                         features.getUnknownNorm());
    Value pool = route::PoolOp::create(b, route::PoolType::get(context, dim), rows);
    Value query = route::QuantizeOp::create(b, route::QueryType::get(context, dim), pool);
    if (classifier.getWidth()) {
      Value thresholds = route::AcceptanceOp::create(b);
      Value zone = route::DescendOp::create(
          b, query, rows, thresholds, classes, *classifier.getEntries(), *classifier.getNodes(),
          *classifier.getLevels(), *classifier.getRoom(), *classifier.getWidth(),
          *classifier.getSpread(), classifier.getGain());
      route::AnswerOp::create(b, zone, Value(), IntegerAttr(), false);
      b.setInsertionPointAfter(stage);
      return;
    }
    Value scores = route::ScoreOp::create(b, route::ScoresType::get(context, classes), query,
                                          classifier.getLayout());
    Value weights = route::WeighOp::create(b, route::WeightsType::get(context, classes), scores,
                                           query, classifier.getGain());
    Value top = route::SelectOp::create(b, scores, tables.classZone);
    Value thresholds = route::AcceptanceOp::create(b);
    Value odds;
    if (classes > 1 && tables.classZone[0] == 0)
      odds = route::OddsOp::create(b, top, weights);
    Value zone = route::ClimbOp::create(b, top, weights, rows, thresholds, odds, tables.steps,
                                        tables.parents, tables.classBegin, tables.classEnd);
    route::AnswerOp::create(b, zone, Value(), IntegerAttr(), false);
    b.setInsertionPointAfter(stage);
  }

  ImplicitLocOpBuilder b;
  zone::HierarchyOp hierarchy;
  const Tables &tables;
  zone::FeaturesOp features;
  zone::ClassifierOp classifier;
  zone::AcceptanceOp acceptance;
};

struct ZoneToRoute : PassWrapper<ZoneToRoute, OperationPass<ModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ZoneToRoute)
  StringRef getArgument() const final { return "zone-to-route"; }
  StringRef getDescription() const final {
    return "Turn each zone.hierarchy into the route.program that routes texts over it";
  }
  void getDependentDialects(DialectRegistry &registry) const override {
    registry.insert<route::RouteDialect>();
  }

  void runOnOperation() override {
    for (auto hierarchy : llvm::make_early_inc_range(getOperation().getOps<zone::HierarchyOp>())) {
      Tables tables(hierarchy);
      Builder(hierarchy, tables).run();
      hierarchy.erase();
    }
  }
};

} // namespace

std::unique_ptr<Pass> createZoneToRoutePass() { return std::make_unique<ZoneToRoute>(); }

void registerPasses() {
  registerPass([] { return createZoneToRoutePass(); });
  registerPass([] { return createRouteToVectorPass(); });
}

} // namespace semdns::passes
