#include "analysis/report/references.h"

#include "absl/strings/str_cat.h"
#include "analysis/report/table_cells.h"

namespace isoflop {

const std::vector<Reference>& References() {
  static const std::vector<Reference> kReferences = {
      {"akima1970", "Akima 1970", "H. Akima. A new method of interpolation and smooth curve fitting based on local procedures. Journal of the ACM 17(4), 589–602, 1970",
       "@article{akima1970,\n  author = {Akima, Hiroshi},\n  title = {A New Method of Interpolation and Smooth Curve Fitting Based on Local Procedures},\n"
       "  journal = {Journal of the ACM},\n  volume = {17},\n  number = {4},\n  pages = {589--602},\n  year = {1970}\n}\n"},
      {"besiroglu2024", "Besiroglu et al. 2024", "T. Besiroglu, E. Erdil, M. Barnett, J. You. Chinchilla scaling: a replication attempt. arXiv:2404.10102, 2024",
       "@article{besiroglu2024,\n  author = {Besiroglu, Tamay and Erdil, Ege and Barnett, Matthew and You, Josh},\n  title = {Chinchilla Scaling: A Replication Attempt},\n"
       "  journal = {arXiv preprint arXiv:2404.10102},\n  year = {2024}\n}\n"},
      {"efron1987", "Efron 1987", "B. Efron. Better bootstrap confidence intervals. Journal of the American Statistical Association 82(397), 171–185, 1987",
       "@article{efron1987,\n  author = {Efron, Bradley},\n  title = {Better Bootstrap Confidence Intervals},\n  journal = {Journal of the American Statistical Association},\n"
       "  volume = {82},\n  number = {397},\n  pages = {171--185},\n  year = {1987}\n}\n"},
      {"fedorov1972", "Fedorov 1972", "V. V. Fedorov. Theory of optimal experiments. Academic Press, 1972",
       "@book{fedorov1972,\n  author = {Fedorov, Valerii V.},\n  title = {Theory of Optimal Experiments},\n  publisher = {Academic Press},\n  year = {1972}\n}\n"},
      {"gadre2024", "Gadre et al. 2024", "S. Y. Gadre et al. Language models scale reliably with over-training and on downstream tasks. arXiv:2403.08540, 2024",
       "@article{gadre2024,\n  author = {Gadre, Samir Yitzhak and Smyrnis, Georgios and Shankar, Vaishaal and others},\n"
       "  title = {Language Models Scale Reliably with Over-Training and on Downstream Tasks},\n  journal = {arXiv preprint arXiv:2403.08540},\n  year = {2024}\n}\n"},
      {"giacomini2013", "Giacomini et al. 2013",
       "R. Giacomini, D. N. Politis, H. White. A warp-speed method for conducting Monte Carlo experiments involving bootstrap estimators. Econometric Theory 29(3), 567–589, 2013",
       "@article{giacomini2013,\n  author = {Giacomini, Raffaella and Politis, Dimitris N. and White, Halbert},\n"
       "  title = {A Warp-Speed Method for Conducting {Monte Carlo} Experiments Involving Bootstrap Estimators},\n  journal = {Econometric Theory},\n  volume = {29},\n"
       "  number = {3},\n  pages = {567--589},\n  year = {2013}\n}\n"},
      {"haegele2024", "Hägele et al. 2024", "A. Hägele, E. Bakouch, A. Kosson, L. Ben Allal, L. von Werra, M. Jaggi. Scaling laws and compute-optimal training beyond fixed training durations. arXiv:2405.18392, 2024",
       "@article{haegele2024,\n  author = {H{\\\"a}gele, Alexander and Bakouch, Elie and Kosson, Atli and Ben Allal, Loubna and von Werra, Leandro and Jaggi, Martin},\n"
       "  title = {Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations},\n  journal = {arXiv preprint arXiv:2405.18392},\n  year = {2024}\n}\n"},
      {"hoffmann2022", "Hoffmann et al. 2022", "J. Hoffmann et al. Training compute-optimal large language models. arXiv:2203.15556, 2022",
       "@article{hoffmann2022,\n  author = {Hoffmann, Jordan and Borgeaud, Sebastian and Mensch, Arthur and others},\n  title = {Training Compute-Optimal Large Language Models},\n"
       "  journal = {arXiv preprint arXiv:2203.15556},\n  year = {2022}\n}\n"},
      {"holm1979", "Holm 1979", "S. Holm. A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6(2), 65–70, 1979",
       "@article{holm1979,\n  author = {Holm, Sture},\n  title = {A Simple Sequentially Rejective Multiple Test Procedure},\n  journal = {Scandinavian Journal of Statistics},\n"
       "  volume = {6},\n  number = {2},\n  pages = {65--70},\n  year = {1979}\n}\n"},
      {"huber1964", "Huber 1964", "P. J. Huber. Robust estimation of a location parameter. Annals of Mathematical Statistics 35(1), 73–101, 1964",
       "@article{huber1964,\n  author = {Huber, Peter J.},\n  title = {Robust Estimation of a Location Parameter},\n  journal = {Annals of Mathematical Statistics},\n"
       "  volume = {35},\n  number = {1},\n  pages = {73--101},\n  year = {1964}\n}\n"},
      {"huber2009", "Huber and Ronchetti 2009", "P. J. Huber, E. M. Ronchetti. Robust statistics, second edition. Wiley, 2009",
       "@book{huber2009,\n  author = {Huber, Peter J. and Ronchetti, Elvezio M.},\n  title = {Robust Statistics},\n  edition = {2},\n  publisher = {Wiley},\n  year = {2009}\n}\n"},
      {"kaplan2020", "Kaplan et al. 2020", "J. Kaplan et al. Scaling laws for neural language models. arXiv:2001.08361, 2020",
       "@article{kaplan2020,\n  author = {Kaplan, Jared and McCandlish, Sam and Henighan, Tom and Brown, Tom B. and Chess, Benjamin and Child, Rewon and Gray, Scott and Radford, Alec and "
       "Wu, Jeffrey and Amodei, Dario},\n  title = {Scaling Laws for Neural Language Models},\n  journal = {arXiv preprint arXiv:2001.08361},\n  year = {2020}\n}\n"},
      {"li2025", "Li et al. 2025", "M. Li, S. Kudugunta, L. Zettlemoyer. (Mis)Fitting: a survey of scaling laws. arXiv:2502.18969, 2025",
       "@article{li2025,\n  author = {Li, Margaret and Kudugunta, Sneha and Zettlemoyer, Luke},\n  title = {{(Mis)Fitting}: A Survey of Scaling Laws},\n"
       "  journal = {arXiv preprint arXiv:2502.18969},\n  year = {2025}\n}\n"},
      {"muennighoff2023", "Muennighoff et al. 2023", "N. Muennighoff et al. Scaling data-constrained language models. arXiv:2305.16264, 2023",
       "@article{muennighoff2023,\n  author = {Muennighoff, Niklas and Rush, Alexander M. and Barak, Boaz and Le Scao, Teven and Piktus, Aleksandra and Tazi, Nouamane and "
       "Pyysalo, Sampo and Wolf, Thomas and Raffel, Colin},\n  title = {Scaling Data-Constrained Language Models},\n  journal = {arXiv preprint arXiv:2305.16264},\n  year = {2023}\n}\n"},
      {"porian2024", "Porian et al. 2024", "T. Porian, M. Wortsman, J. Jitsev, L. Schmidt, Y. Carmon. Resolving discrepancies in compute-optimal scaling of language models. arXiv:2406.19146, 2024",
       "@article{porian2024,\n  author = {Porian, Tomer and Wortsman, Mitchell and Jitsev, Jenia and Schmidt, Ludwig and Carmon, Yair},\n"
       "  title = {Resolving Discrepancies in Compute-Optimal Scaling of Language Models},\n  journal = {arXiv preprint arXiv:2406.19146},\n  year = {2024}\n}\n"},
      {"sardana2024", "Sardana et al. 2024", "N. Sardana, J. Portes, S. Doubov, J. Frankle. Beyond Chinchilla-optimal: accounting for inference in language model scaling laws. arXiv:2401.00448, 2024",
       "@article{sardana2024,\n  author = {Sardana, Nikhil and Portes, Jacob and Doubov, Sasha and Frankle, Jonathan},\n"
       "  title = {Beyond {Chinchilla}-Optimal: Accounting for Inference in Language Model Scaling Laws},\n  journal = {arXiv preprint arXiv:2401.00448},\n  year = {2024}\n}\n"},
      {"webb2023", "Webb 2023", "M. D. Webb. Reworking wild bootstrap-based inference for clustered errors. Canadian Journal of Economics 56(3), 839–858, 2023",
       "@article{webb2023,\n  author = {Webb, Matthew D.},\n  title = {Reworking Wild Bootstrap-Based Inference for Clustered Errors},\n  journal = {Canadian Journal of Economics},\n"
       "  volume = {56},\n  number = {3},\n  pages = {839--858},\n  year = {2023}\n}\n"},
  };
  return kReferences;
}

std::string ReferencesBib() {
  std::string out = "% The literature that the report's captions name by author and year.\n";
  for (const Reference& reference : References()) absl::StrAppend(&out, "\n", reference.bibtex);
  return out;
}

std::vector<const Reference*> CitedIn(const std::string& text) {
  std::vector<const Reference*> cited;
  for (const Reference& reference : References()) {
    if (text.find(reference.cite) != std::string::npos) cited.push_back(&reference);
  }
  return cited;
}

std::optional<Table> ReferencesTable(const Report& report) {
  std::string words;
  for (const std::string& sentence : report.verdict) absl::StrAppend(&words, sentence, "\n");
  for (const ReportSection& section : report.sections) {
    for (const Block& block : section.blocks) {
      if (block.kind == Block::Kind::kText) absl::StrAppend(&words, block.text, "\n");
      if (block.kind == Block::Kind::kFigure) absl::StrAppend(&words, block.figure.caption, "\n");
      if (block.kind != Block::Kind::kTable) continue;
      absl::StrAppend(&words, block.table.title, "\n", block.table.caption, "\n");
      // T5 names papers in its first column.
      for (const std::vector<Cell>& row : block.table.rows) absl::StrAppend(&words, row.empty() ? "" : row.front().text, "\n");
    }
  }
  const std::vector<const Reference*> cited = CitedIn(words);
  if (cited.empty()) return std::nullopt;
  Table table{.name = "references", .title = "References"};
  table.columns = {{"key", "key", false}, {"cite", "cited as", false}, {"text", "reference", false}};
  for (const Reference* reference : cited) table.rows.push_back({TextCell(reference->key), TextCell(reference->cite), TextCell(reference->text)});
  table.caption = "references.bib has them as BibTeX.";
  return table;
}

}  // namespace isoflop
