# plotly.min.js of the PyPI wheel plotly, for the figures of a report's page.
#
# In:  ISOFLOP_PLOTLY_JS, or the cache folder that tools/setup.sh fills.
# Out: PlotlyJs_FOUND, PlotlyJs_FILE.
if(ISOFLOP_PLOTLY_JS)
  set(PlotlyJs_FILE ${ISOFLOP_PLOTLY_JS})
else()
  set(_isoflop_cache "$ENV{XDG_CACHE_HOME}")
  if(NOT _isoflop_cache)
    set(_isoflop_cache "$ENV{HOME}/.cache")
  endif()
  file(GLOB PlotlyJs_FILE ${_isoflop_cache}/isoflop/venv/lib/python3*/site-packages/plotly/package_data/plotly.min.js)
endif()
if(PlotlyJs_FILE AND NOT EXISTS "${PlotlyJs_FILE}")
  message(FATAL_ERROR "ISOFLOP_PLOTLY_JS: no file ${PlotlyJs_FILE}")
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(PlotlyJs REQUIRED_VARS PlotlyJs_FILE)
