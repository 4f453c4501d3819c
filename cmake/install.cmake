# Headers, the libraries, their .pc files and the CMake package, all relocatable.  What belongs to
# TLS is there only when it was built, the header included.
include(CMakePackageConfigHelpers)

set(asyncio_headers PATTERN "*.h")
if(NOT ASYNCIO_TLS)
    list(APPEND asyncio_headers PATTERN "tls.h" EXCLUDE)
endif()
install(DIRECTORY include/ DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING ${asyncio_headers})
install(TARGETS asyncio asyncio_static EXPORT asyncioTargets
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
if(TARGET asyncio_ps)
    install(TARGETS asyncio_ps RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
if(ASYNCIO_TLS)
    install(TARGETS asyncio_tls asyncio_tls_static EXPORT asyncioTlsTargets
            LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
            ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
endif()

set(asyncio_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/asyncio")
install(EXPORT asyncioTargets NAMESPACE asyncio:: DESTINATION "${asyncio_package_dir}")
if(ASYNCIO_TLS)
    install(EXPORT asyncioTlsTargets NAMESPACE asyncio:: DESTINATION "${asyncio_package_dir}")
endif()
configure_package_config_file(cmake/asyncioConfig.cmake.in asyncioConfig.cmake
                              INSTALL_DESTINATION "${asyncio_package_dir}")
write_basic_package_version_file(asyncioConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES
        "${CMAKE_CURRENT_BINARY_DIR}/asyncioConfig.cmake"
        "${CMAKE_CURRENT_BINARY_DIR}/asyncioConfigVersion.cmake"
        DESTINATION "${asyncio_package_dir}")

# From the directory of asyncio.pc up to the prefix, whatever that turns out to be.
file(RELATIVE_PATH asyncio_pc_to_prefix
     "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
set(asyncio_pcs asyncio)
if(ASYNCIO_TLS)
    list(APPEND asyncio_pcs asyncio-tls)
endif()
foreach(pc IN LISTS asyncio_pcs)
    configure_file("cmake/${pc}.pc.in" "${pc}.pc" @ONLY)
    install(FILES "${CMAKE_CURRENT_BINARY_DIR}/${pc}.pc"
            DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
endforeach()
