// What people call a shape that has no N.
#ifndef ISOFLOP_STUDY_SHAPE_TEXT_H_
#define ISOFLOP_STUDY_SHAPE_TEXT_H_

#include <string>

#include "study/model_shape.h"

namespace isoflop {

// "3-gram kneser_ney", of family kNgram.
std::string NgramText(const ModelShape& shape);

}  // namespace isoflop

#endif  // ISOFLOP_STUDY_SHAPE_TEXT_H_
