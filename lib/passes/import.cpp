#include "lib/passes/import.h"

#include "dialects/zone/zone.h"
#include "lib/pack/beam_plan.h"
#include "lib/spec/names.h"
#include "semdns/format/keywords.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/IR/Verifier.h"

#include <algorithm>

using namespace mlir;

namespace semdns::passes {
namespace {

class Importer {
public:
  Importer(MLIRContext &context, const spec::ZoneTree &tree, const pack::RoutingModel &model,
           const ImportOptions &options)
      : b(UnknownLoc::get(&context), &context), tree(tree), model(model), options(options) {}

  OwningOpRef<ModuleOp> run() {
    if (tree.zones.empty()) {
      emitError(b.getLoc()) << "the tree has no zones";
      return nullptr;
    }
    OwningOpRef<ModuleOp> module = ModuleOp::create(b.getLoc());
    b.setInsertionPointToStart(module->getBody());
    auto hierarchy = zone::HierarchyOp::create(b, options.name, options.serial,
                                               static_cast<uint32_t>(tree.zones.size()));
    b.setInsertionPointToStart(&hierarchy.getBody().emplaceBlock());
    for (const spec::Engine &engine : tree.engines)
      zone::EngineOp::create(b, engine.name, static_cast<zone::Tier>(engine.tier),
                             engine.maxContext, engine.costPerMtokNano,
                             engine.region.empty() ? StringAttr() : b.getStringAttr(engine.region));
    tables();
    if (!groupByZone() || !zones())
      return nullptr;
    if (failed(verify(*module)))
      return nullptr;
    return module;
  }

private:
  void tables() {
    const pack::EmbeddingModel &e = model.embedding;
    auto rows = static_cast<uint32_t>(std::max<size_t>(e.hashes.size(), 1));
    zone::FeaturesOp::create(b, e.dim, rows, options.bucketCount, e.wordNgramMax, e.charNgramMin,
                             e.charNgramMax, e.punct, e.unknownNorm);
    if (!model.classZone.empty()) {
      auto classifier = zone::ClassifierOp::create(
          b, static_cast<uint32_t>(model.classZone.size()), options.layout, e.gain, IntegerAttr(),
          IntegerAttr(), IntegerAttr(), IntegerAttr(), IntegerAttr(), IntegerAttr());
      if (const pack::BeamModel &beam = model.beam; beam.present()) {
        auto number = [&](size_t value) {
          return b.getI32IntegerAttr(static_cast<int32_t>(value));
        };
        classifier.setWidthAttr(number(beam.width));
        classifier.setSpreadAttr(number(beam.spread));
        classifier.setEntriesAttr(number(beam.entries()));
        classifier.setNodesAttr(number(beam.nodes.size()));
        classifier.setLevelsAttr(number(pack::levelsOf(beam)));
        classifier.setRoomAttr(number(pack::nodeRoomOf(beam)));
      }
    }
    const pack::KeywordModel &k = model.keywords;
    if (!k.terms.empty())
      zone::AcceptanceOp::create(b, b.getI32IntegerAttr(static_cast<int32_t>(k.terms.size())),
                                 k.acceptVotes == SEMDNS_NEVER
                                     ? IntegerAttr()
                                     : b.getI32IntegerAttr(static_cast<int32_t>(k.acceptVotes)),
                                 b.getI32IntegerAttr(static_cast<int32_t>(k.acceptPurity)),
                                 b.getI32IntegerAttr(static_cast<int32_t>(k.confidence)));
  }

  /// Which class and which terms each zone has.
  bool groupByZone() {
    classOf.assign(tree.zones.size(), -1);
    termsOf.resize(tree.zones.size());
    for (size_t k = 0; k < model.classZone.size(); ++k) {
      uint32_t zone = model.classZone[k];
      if (zone >= tree.zones.size() || classOf[zone] >= 0) {
        emitError(b.getLoc()) << "class " << k << " belongs to zone " << zone
                              << ", which does not exist or has a class already";
        return false;
      }
      classOf[zone] = static_cast<int64_t>(k);
    }
    for (const pack::Term &term : model.keywords.terms) {
      if (term.zone >= tree.zones.size()) {
        emitError(b.getLoc()) << "term '" << term.text << "' belongs to zone " << term.zone
                              << ", which does not exist";
        return false;
      }
      termsOf[term.zone].push_back(&term);
    }
    return true;
  }

  /// Zones in preorder: each is built at the end of its parent's block.
  bool zones() {
    std::vector<Block *> blocks(tree.zones.size());
    Block *top = b.getInsertionBlock();
    for (size_t i = 0; i < tree.zones.size(); ++i) {
      const spec::Zone &zone = tree.zones[i];
      if (i != 0 && zone.parent >= i) {
        emitError(b.getLoc()) << "zone " << i << " comes before its parent " << zone.parent;
        return false;
      }
      b.setInsertionPointToEnd(i == 0 ? top : blocks[zone.parent]);
      SmallVector<Attribute> engines;
      SmallVector<int32_t> weights;
      for (const spec::EngineRef &ref : zone.engines) {
        if (ref.engine >= tree.engines.size()) {
          emitError(b.getLoc()) << "zone " << i << " names an engine that does not exist";
          return false;
        }
        engines.push_back(FlatSymbolRefAttr::get(b.getContext(), tree.engines[ref.engine].name));
        weights.push_back(static_cast<int32_t>(std::min<uint32_t>(ref.weight, INT32_MAX)));
      }
      auto op = zone::ZoneOp::create(
          b, b.getStringAttr(i == 0 ? "" : spec::formatLevel(zone.levels.back())),
          b.getI32IntegerAttr(static_cast<int32_t>(i)),
          classOf[i] < 0 ? IntegerAttr() : b.getI32IntegerAttr(static_cast<int32_t>(classOf[i])),
          b.getI32IntegerAttr(static_cast<int32_t>(zone.ttl)),
          engines.empty() ? ArrayAttr() : b.getArrayAttr(engines),
          weights.empty() ? DenseI32ArrayAttr() : b.getDenseI32ArrayAttr(weights));
      blocks[i] = &op.getBody().emplaceBlock();
      b.setInsertionPointToStart(blocks[i]);
      terms(i);
    }
    return true;
  }

  void terms(size_t zone) {
    // The heaviest are the ones a reader wants to see; ties by text.
    std::vector<const pack::Term *> &all = termsOf[zone];
    std::sort(all.begin(), all.end(), [](const pack::Term *x, const pack::Term *y) {
      return x->weight != y->weight ? x->weight > y->weight : x->text < y->text;
    });
    size_t shown = 0;
    for (; shown < all.size() && shown < options.keywordsPerZone && !all[shown]->text.empty();
         ++shown)
      zone::KeywordOp::create(b, all[shown]->text, all[shown]->weight);
    if (shown < all.size())
      zone::TermsOp::create(b, static_cast<uint32_t>(all.size() - shown));
  }

  ImplicitLocOpBuilder b;
  const spec::ZoneTree &tree;
  const pack::RoutingModel &model;
  const ImportOptions &options;
  std::vector<int64_t> classOf;
  std::vector<std::vector<const pack::Term *>> termsOf;
};

} // namespace

OwningOpRef<ModuleOp> importModel(MLIRContext &context, const spec::ZoneTree &tree,
                                  const pack::RoutingModel &model, const ImportOptions &options) {
  context.loadDialect<zone::ZoneDialect>();
  return Importer(context, tree, model, options).run();
}

} // namespace semdns::passes
