#!/usr/bin/env bash
# Fetches Apache Kafka's jars with Maven, unless those of this pom.xml are there already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

libs=$PWD/libs
if ! cmp -s pom.xml "$libs/installed"; then
  rm -rf "$libs"
  mvn -B -q -f pom.xml org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime "-DoutputDirectory=$libs"
  cp pom.xml "$libs/installed"
fi
echo "$(find "$libs" -name '*.jar' | wc -l) jars"
