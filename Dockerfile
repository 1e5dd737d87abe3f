# The program is one bundled file; the image is Node and that file.
ARG BUILD_IMAGE=node:24-bookworm-slim
ARG BASE_IMAGE=gcr.io/distroless/nodejs24-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc .node-version tsconfig.json tsconfig.types.json ./
COPY .ci .ci
RUN npm ci
COPY crds crds
COPY src src
RUN node .ci/build.mjs

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="Keyferry" \
      org.opencontainers.image.description="Kubernetes operator that ferries 1Password items to native Secrets" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /build/dist/keyferry.mjs /keyferry.mjs
USER 65532:65532
ENTRYPOINT ["/nodejs/bin/node", "/keyferry.mjs"]
CMD ["operator"]
